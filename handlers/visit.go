package handlers

import (
	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"

	"refill/billing"
)

// visit is what is known of one request: which door it came to, and who came.
type visit struct {
	ref     string // the request's reference, in the log and on error pages
	host    host
	policy  policy
	session *sessions.Session // nil where no session is looked at
	viewer  *billing.Viewer   // nil: nobody is signed in
	self    *billing.Viewer   // who looks as viewer; nil: nobody does
	expired bool              // a form without its token, which its handler has to refuse
}

const visitKey = "visit"

// visitOf is the request's visit; the outermost middleware made it.
func visitOf(c echo.Context) *visit {
	v, ok := c.Get(visitKey).(*visit)
	if !ok {
		v = &visit{}
		c.Set(visitKey, v)
	}
	return v
}
