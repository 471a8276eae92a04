package web

import "telltale.example/telltale"

// Route is a row of the table: what is asked for, and what of an operator.
type Route struct {
	Method, Path string
	May          telltale.Permission // [Public]: nobody need be signed in
}

// Routes lists every page and action, for tests of all of them.
func Routes() []Route {
	var list []Route
	for _, r := range routes() {
		list = append(list, Route{r.method, r.path, r.may})
	}
	return list
}

// routes is every page and every action.
func routes() []route {
	const (
		project  = "/p/{project}"
		webhooks = project + webhooksPath
		webhook  = webhooks + "/{webhook}"
		sources  = project + sourcesPath
		source   = sources + "/{source}"
	)
	return []route{
		{"GET", "/{$}", public, home},

		{"GET", "/docs", public, documentPage},
		{"GET", "/docs/{document...}", public, documentPage},
		{"GET", "/docs/api", public, referencePage},

		{"GET", "/setup", public, setupPage},
		{"POST", "/setup", public, setUp},
		{"GET", "/login", public, loginPage},
		{"POST", "/login", public, logIn},
		{"GET", "/link", public, linkPage},
		{"POST", "/link", public, takeLink},
		{"POST", "/logout", read, logOut},
		{"GET", "/account", read, accountPage},
		{"POST", "/account/appearance", read, setAppearance},
		{"POST", "/account/password", read, setPassword},
		{"POST", "/account/sessions/end", read, endSessions},

		{"GET", "/admin/operators", people, operatorsPage},
		{"POST", "/admin/operators/invite", people, inviteOperator},
		{"POST", "/admin/operators/{operator}/role", people, setRole},
		{"POST", "/admin/operators/{operator}/reset", people, resetOperator},
		{"POST", "/admin/operators/{operator}/disable", people, switchOperator},
		{"POST", "/admin/operators/{operator}/enable", people, switchOperator},

		{"GET", "/admin/projects", people, projectsPage},
		{"POST", "/admin/projects", people, createProject},
		{"GET", "/admin/system", read, systemPage},
		{"POST", "/admin/resume", people, resumeSending},

		{"GET", project + "/{$}", read, overviewPage},
		{"POST", project + "/samples", change, sendSamples},
		{"GET", project + "/live", public, stream},

		{"GET", project + "/events", read, eventsPage},
		{"GET", project + "/events/{event}", read, eventPage},
		{"GET", project + "/messages/{message}", read, messagePage},

		{"GET", project + "/users", read, usersPage},
		{"GET", project + "/users/{user}", read, userPage},
		{"GET", project + "/users/{user}/erase", secrets, eraseUserPage},
		{"POST", project + "/users/{user}/erase", secrets, eraseUser},

		{"GET", project + "/deliveries", read, deliveriesPage},
		{"GET", project + "/deliveries/export.csv", read, exportDeliveries},
		{"GET", project + "/deliveries/export.ndjson", read, exportDeliveries},
		{"POST", project + "/deliveries/stop", change, stopDeliveries},
		{"GET", project + "/deliveries/{delivery}", read, deliveryPage},
		{"POST", project + "/deliveries/{delivery}/retry", change, retryDelivery},
		{"POST", project + "/deliveries/{delivery}/stop", change, stopDelivery},
		{"POST", project + "/deliveries/{delivery}/replay", change, replayOne},

		{"GET", project + replaysPath, read, replaysPage},
		{"POST", project + replaysPath, change, beginReplay},
		{"GET", project + replaysPath + "/new", change, newReplayPage},
		{"POST", project + replaysPath + "/new", change, countReplay},
		{"GET", project + replaysPath + "/{replay}", read, replayPage},
		{"POST", project + replaysPath + "/{replay}", change, switchReplay},

		{"GET", project + importsPath, read, importsPage},
		{"GET", project + importsPath + "/new", change, newImportPage},
		{"POST", project + importsPath + "/new", change, beginImport},
		{"GET", project + importPath + "{import}", read, importPage},
		{"POST", project + importPath + "{import}", change, switchImport},
		{"GET", project + importPath + "{import}/refused.csv", bodies, exportRefused},

		{"GET", webhooks, read, webhooksPage},
		{"GET", webhooks + "/new", change, newWebhookPage},
		{"POST", webhooks + "/new", change, saveNewWebhook},
		{"GET", webhooks + "/advice", change, adviceOnURL},
		{"POST", webhooks + "/inspector", change, tryInspector},
		{"GET", webhook, read, webhookPage},
		{"GET", webhook + "/edit", change, editWebhookPage},
		{"POST", webhook + "/edit", change, saveWebhook},
		{"POST", webhook + "/switch", change, switchWebhook},
		{"POST", webhook + "/test", change, testWebhook},
		{"GET", webhook + "/delete", change, deleteWebhookPage},
		{"POST", webhook + "/delete", change, deleteWebhook},
		{"POST", webhook + "/restore", change, restoreWebhook},
		{"GET", webhook + "/deliveries", read, webhookDeliveries},
		{"POST", webhook + "/release", change, sendHeld},
		{"POST", webhook + "/missed", change, sendMissed},
		{"GET", webhook + "/discard", change, discardHeldPage},
		{"POST", webhook + "/discard", change, discardHeld},
		{"GET", webhook + "/settings", read, webhookSettingsPage},
		{"GET", webhook + "/signing", read, signingPage},
		{"GET", webhook + "/secret", read, signingPage}, // where a form was sent from, loaded again
		{"POST", webhook + "/secret", secrets, revealSecret},
		{"GET", webhook + "/code", read, codePage},
		{"GET", webhook + "/rotate", secrets, rotateSecretPage},
		{"POST", webhook + "/rotate", secrets, rotateSecret},
		{"POST", webhook + "/verify", change, verifyRequest},

		{"GET", sources, read, sourcesPage},
		{"GET", sources + "/new", change, newSourcePage},
		{"POST", sources + "/new", change, createSource},
		{"GET", source, read, sourcePage},
		{"POST", source, change, saveSource},
		{"GET", source + "/url", read, sourcePage}, // where a form was sent from, loaded again
		{"POST", source + "/url", secrets, revealSource},
		{"POST", source + "/switch", change, switchSource},
		{"POST", source + "/test", change, testSource},
		{"GET", source + "/delete", change, deleteSourcePage},
		{"POST", source + "/delete", change, deleteSource},
		{"GET", source + unrecognisedPath, read, unrecognisedPage},
		{"GET", source + unrecognisedPath + "/{request}", bodies, unrecognisedRequestPage},
		{"POST", source + unrecognisedPath + "/replay", change, replayUnrecognised},
		{"POST", source + unrecognisedPath + "/delete", change, dropUnrecognised},

		{"GET", project + "/inspect", read, binsPage},
		{"POST", project + "/inspect", change, createBin},
		{"GET", project + "/inspect/{bin}", read, binPage},
		{"POST", project + "/inspect/{bin}/answer", change, answerBin},
		{"POST", project + "/inspect/{bin}/use", change, useBin},
		{"GET", project + "/inspect/{bin}/delete", change, deleteBinPage},
		{"POST", project + "/inspect/{bin}/delete", change, deleteBin},

		{"GET", project + "/settings", read, settingsPage},
		{"GET", project + "/settings/project", read, settingsPage},
		{"GET", project + "/settings/project/general", read, generalPage},
		{"POST", project + "/settings/project/general", people, saveGeneral},
		{"GET", project + "/settings/project/event-types", read, typesPage},
		{"GET", project + "/settings/project/event-types/{type}", read, typePage},
		{"GET", project + conversionsPath, read, conversionsPage},
		{"POST", project + conversionsPath, change, saveGoal},
		{"POST", project + conversionsPath + "/remove", change, removeGoal},
		{"POST", project + conversionsPath + "/windows", change, saveWindows},
		{"GET", project + "/settings/project/api-keys", read, keysPage},
		{"POST", project + "/settings/project/api-keys", secrets, createKey},
		{"GET", project + "/settings/project/api-keys/{key}/revoke", secrets, confirmRevoke},
		{"POST", project + "/settings/project/api-keys/{key}/revoke", secrets, revokeKey},
		{"GET", project + "/settings/project/audit-log", read, auditPage},
		{"GET", project + "/settings/project/audit-log/export.csv", read, exportAudit},
		{"GET", project + "/settings/project/audit-log/export.ndjson", read, exportAudit},
	}
}
