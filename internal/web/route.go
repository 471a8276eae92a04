package web

// routes is every page and every action.
func (s *web) routes() []route {
	const project = "/p/{project}"
	return []route{
		{"GET", "/{$}", public, home},

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

		{"GET", project + "/{$}", read, overviewPage},
		{"GET", project + "/live", public, stream},

		{"GET", project + "/events", read, eventsPage},
		{"GET", project + "/events/{event}", read, eventPage},
		{"GET", project + "/messages/{message}", read, messagePage},

		{"GET", project + "/deliveries", read, deliveriesPage},
		{"GET", project + "/deliveries/export.csv", read, exportDeliveries},
		{"GET", project + "/deliveries/export.ndjson", read, exportDeliveries},
		{"POST", project + "/deliveries/stop", change, stopDeliveries},
		{"GET", project + "/deliveries/{delivery}", read, deliveryPage},
		{"POST", project + "/deliveries/{delivery}/retry", change, retryDelivery},
		{"POST", project + "/deliveries/{delivery}/stop", change, stopDelivery},
	}
}
