package main

// trials are all there are, in the order of the table.
var trials = []*Trial{
	killTrial,
	crashTrial,
	outageTrial,
	powerTrial,
	syncTrial,
	nodesTrial,
	failoverTrial,
	hostileTrial,
	neighbourTrial,
	herdTrial,
	simulationTrial,
	machineTrial,
	racesTrial,
	tenantTrial,
	egressTrial,
	backupTrial,
	soakTrial,
	rollingTrial,
	fullTrial,
	limitTrial,
	pageTrial,
	fuzzTrial,
	tenantTrial,
	inputTrial,
}
