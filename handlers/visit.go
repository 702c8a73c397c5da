package handlers

import (
	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
)

// visit is what is known of one request: which door it came to, and who came.
type visit struct {
	ref     string // the request's reference, in the log and on error pages
	host    host
	brand   *models.Brand // whose the page is; nil: the platform's
	preview *preview      // the page is only looked at; nil: it is the page itself
	policy  policy
	session *sessions.Session // nil where no session is looked at
	viewer  *billing.Viewer   // nil: nobody is signed in
	self    *billing.Viewer   // who looks as viewer; nil: nobody does
	expired bool              // a form without its token, which its handler has to refuse
}

// preview is how a page is shown to who only wants to see what it looks like.
type preview struct {
	theme string
	low   bool // few credits are left, whatever there are
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
