package main

// trials are all there are, in the order of the table.
var trials = []*Trial{
	killTrial,
	powerTrial,
	syncTrial,
	hostileTrial,
	simulationTrial,
	machineTrial,
	nodesTrial,
	soakTrial,
}
