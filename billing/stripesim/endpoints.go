package stripesim

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

// hook is a webhook endpoint of the platform's account.
type hook struct {
	ID            string            `json:"id"`
	APIVersion    *string           `json:"api_version"`
	Application   *string           `json:"application"` // set on one that gets the events of connected accounts
	Created       int64             `json:"created"`
	Description   *string           `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Metadata      map[string]string `json:"metadata"`
	Secret        string            `json:"secret"` // shown once, by create
	Status        string            `json:"status"`
	URL           string            `json:"url"`
}

// The states of a hook.
const (
	hookEnabled  = "enabled"
	hookDisabled = "disabled"
)

// connectApp stands for the platform's Connect application.
const connectApp = "ca_platform"

// maxHooks is how many endpoints an account may have.
const maxHooks = 16

// wants tells whether an event goes to the endpoint.
func (h *hook) wants(e *event) bool {
	return h.Status == hookEnabled && (h.Application != nil) == (e.Account != "") &&
		(slices.Contains(h.EnabledEvents, "*") || slices.Contains(h.EnabledEvents, e.Type))
}

func (h *hook) show() wire {
	return wire{
		"id": h.ID, "object": "webhook_endpoint", "api_version": h.APIVersion, "application": h.Application, "created": h.Created,
		"description": h.Description, "enabled_events": h.EnabledEvents, "livemode": false, "metadata": h.Metadata,
		"status": h.Status, "url": h.URL,
	}
}

func hookParams(more ...string) []string {
	return append([]string{"url", "enabled_events[]", "description", "metadata[*]"}, more...)
}

var (
	knownVersion = regexp.MustCompile(`^20\d\d-\d\d-\d\d(\.[a-z]+)?$`)
	knownEvent   = regexp.MustCompile(`^(\*|[a-z0-9_]+(\.[a-z0-9_]+)+)$`)
)

// hookURL reads an address to deliver to.
func hookURL(f *form) string {
	raw := f.text("url")
	u, err := url.Parse(raw)
	if raw != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		f.fail(invalid("url", "url_invalid", "Invalid URL: An explicit scheme (such as https) must be provided."))
	}
	return raw
}

// hookEvents reads the events an endpoint asks for.
func hookEvents(f *form) []string {
	out := f.list("enabled_events")
	for i, e := range out {
		if !knownEvent.MatchString(e) {
			f.fail(invalid("enabled_events["+strconv.Itoa(i)+"]", "", "Invalid enabled_events[%d]: %s is not an event type", i, e))
		}
	}
	return out
}

// createHook is POST /v1/webhook_endpoints: the one answer that has the secret.
func createHook(c *call) (wire, *apiError) {
	f := c.form
	made := &hook{
		ID: newID("we"), Created: seconds(c.now), Description: f.optional("description"), EnabledEvents: hookEvents(f),
		Metadata: f.metadata("metadata"), Secret: newID("whsec"), Status: hookEnabled, URL: hookURL(f), APIVersion: f.optional("api_version"),
	}
	f.need("url")
	if len(made.EnabledEvents) == 0 {
		f.fail(missing("enabled_events"))
	}
	if made.APIVersion != nil && !knownVersion.MatchString(*made.APIVersion) {
		f.fail(invalid("api_version", "", "Invalid API version: %s", *made.APIVersion))
	}
	if f.truth("connect") {
		made.Application = new(connectApp)
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case c.account != "":
		return nil, invalid("", "", "The simulator makes endpoints of the platform's own account only.")
	case len(c.state.Hooks.Rows) >= maxHooks:
		return nil, invalid("", "", "You have reached the maximum of %d test webhook endpoints.", maxHooks)
	}
	create(c, c.state.Hooks, made.ID, made)
	out := made.show()
	out["secret"] = made.Secret
	return out, nil
}

// updateHook is POST /v1/webhook_endpoints/{id}. The version and the side of an
// endpoint are what they were made as.
func updateHook(c *call) (wire, *apiError) {
	f := c.form
	known := c.state.Hooks.get(c.account, c.path("id"))
	if known == nil {
		return nil, notFound("webhook endpoint", c.path("id"), "webhook_endpoint")
	}
	next := *known
	if f.has("url") {
		next.URL = hookURL(f)
	}
	if f.size("enabled_events") > 0 {
		next.EnabledEvents = hookEvents(f)
	}
	if f.has("description") {
		next.Description = f.optional("description")
	}
	if f.has("disabled") {
		next.Status = hookEnabled
		if f.truth("disabled") {
			next.Status = hookDisabled
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	*known = next
	c.keep(c.state.Hooks.kind, known.ID)
	return known.show(), nil
}

// getHook is GET /v1/webhook_endpoints/{id}.
func getHook(c *call) (wire, *apiError) {
	if known := c.state.Hooks.get(c.account, c.path("id")); known != nil {
		return known.show(), nil
	}
	return nil, notFound("webhook endpoint", c.path("id"), "webhook_endpoint")
}

// listHooks is GET /v1/webhook_endpoints: those the simulator was started with
// and those made since, newest first.
func listHooks(c *call) (wire, *apiError) {
	var all []*hook
	for _, r := range slices.Backward(c.state.Hooks.Rows) {
		if r.Account == c.account {
			all = append(all, r.Object)
		}
	}
	for slot, e := range slices.Backward(c.endpoints) {
		given := &hook{
			ID: "we_given_" + strconv.Itoa(slot), APIVersion: new(APIVersion), EnabledEvents: []string{"*"}, Metadata: map[string]string{},
			Status: hookEnabled, URL: e.URL,
		}
		if e.Connect {
			given.Application = new(connectApp)
		}
		all = append(all, given)
	}
	cut, more, e := cutPage(c.form, all, func(h *hook) string { return h.ID })
	if e != nil {
		return nil, e
	}
	data := make([]wire, 0, len(cut))
	for _, h := range cut {
		data = append(data, h.show())
	}
	return listOf(data, more, "/v1/webhook_endpoints"), c.form.err
}

// hookRoutes are the calls on webhook endpoints.
func hookRoutes(v1 func(pattern string, known []string, h handler)) {
	v1("POST /v1/webhook_endpoints", hookParams("api_version", "connect"), createHook)
	v1("GET /v1/webhook_endpoints", listing(), listHooks)
	v1("GET /v1/webhook_endpoints/{id}", nil, getHook)
	v1("POST /v1/webhook_endpoints/{id}", hookParams("disabled"), updateHook)
}

// addressed lists a delivery for each endpoint that an event goes to.
func (c *call) addressed(e *event) []delivery {
	var out []delivery
	for slot, endpoint := range c.endpoints {
		if endpoint.Connect == (e.Account != "") {
			out = append(out, delivery{Event: e.ID, Type: e.Type, Slot: slot, State: deliveryPending})
		}
	}
	for _, r := range c.state.Hooks.Rows {
		if r.Object.wants(e) {
			out = append(out, delivery{Event: e.ID, Type: e.Type, Hook: r.ID, State: deliveryPending})
		}
	}
	return out
}

// target is where a delivery goes, and in which version of the API it is written.
func (s *Server) target(d *delivery) (to Endpoint, version string) {
	if d.Hook != "" {
		r := s.state.Hooks.find(d.Hook)
		if r == nil {
			return to, APIVersion
		}
		to = Endpoint{URL: r.Object.URL, Secret: r.Object.Secret, Connect: r.Object.Application != nil}
		if r.Object.APIVersion != nil {
			return to, *r.Object.APIVersion
		}
		return to, APIVersion
	}
	if d.Slot < len(s.endpoints) {
		to = s.endpoints[d.Slot]
	}
	return to, APIVersion
}
