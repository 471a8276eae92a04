package main

// trials are all there are, in the order of the table.
var trials = []*Trial{
	killTrial,
	crashTrial,
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
	fuzzTrial,
	backupTrial,
	racesTrial,
	tenantTrial,
	egressTrial,
	inputTrial,
	soakTrial,
	rollingTrial,
}
