package web

import "telltale.example/telltale"

// overviewView is the project at a glance.
type overviewView struct {
	frame
	Webhooks []*telltale.Webhook
}

func overviewPage(c *call) error {
	webhooks, err := c.allWebhooks()
	if err != nil {
		return err
	}
	return c.page("overview", &overviewView{frame: frame{Title: "Overview", Section: "overview"}, Webhooks: webhooks})
}
