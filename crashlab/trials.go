package main

// trials are all there are, in the order of the table.
var trials = []*Trial{
	killTrial,
	outageTrial,
	powerTrial,
	syncTrial,
	fullTrial,
	limitTrial,
	pageTrial,
	nodesTrial,
	failoverTrial,
	hostileTrial,
	neighbourTrial,
	herdTrial,
	simulationTrial,
	machineTrial,
	racesTrial,
	soakTrial,
	rollingTrial,
	tenantTrial,
}
