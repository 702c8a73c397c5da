package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/sessions"
	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
)

// store keeps sessions in the database, under the SHA-256 of an id that only the
// browser holds.
//
// An id that is in no row belongs to a visitor: it proves nothing, and only ties
// the forms of one browser together. Signing in never keeps an id: whoever knew
// it before knows nothing afterwards.
type store struct {
	billing *billing.Service
	cookie  string
	options sessions.Options
}

// The cookie's names say nothing of the product: they are seen on the agencies'
// portals. The prefix makes the browser refuse one that another host has set.
const (
	secureCookie = "__Host-session"
	plainCookie  = "session"
)

func newStore(b *billing.Service, secure bool) *store {
	s := &store{billing: b, cookie: plainCookie, options: sessions.Options{
		Path: "/", Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}}
	if secure {
		s.cookie = secureCookie
	}
	return s
}

// carried is what a session holds beside its user.
type carried struct {
	Portal models.AgencyID `json:"portal"`          // whose portal it is for; zero: the platform
	Agency models.AgencyID `json:"agency"`          // of several, the one that is looked at; zero: no choice
	Flash  *message        `json:"flash,omitempty"` // said once, on the next page
	Assist *assist         `json:"assist,omitempty"`
}

// message is a flash at rest.
type message struct {
	Tone  views.Tone `json:"tone"`
	Text  string     `json:"text"`
	Label string     `json:"label,omitempty"` // of a link
	Href  string     `json:"href,omitempty"`

	Secret string `json:"secret,omitempty"`
}

// What Session.Values holds.
type valueKey int

const (
	userKey    valueKey = iota // models.UserID
	rowKey                     // models.Session
	carriedKey                 // carried
	originKey                  // startedAt, of one that begins
)

// startedAt is where a session begins, and whether the second proof is still to come.
type startedAt struct {
	agent, address string
	half           bool
}

func carriedBy(s *sessions.Session) carried {
	c, _ := s.Values[carriedKey].(carried)
	return c
}

func userOf(s *sessions.Session) models.UserID {
	id, _ := s.Values[userKey].(models.UserID)
	return id
}

// Get finds the request's session, which is read once.
func (s *store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New reads the session that the cookie names. An id without a live row is a
// visitor's; a database that does not answer is an error, never a visitor.
func (s *store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := s.options
	session.Options, session.IsNew = &options, true
	cookie, err := r.Cookie(name)
	if err != nil || !wholeSecret(cookie.Value) {
		return session, nil //nolint:nilerr // no cookie is no error
	}
	session.ID = cookie.Value
	row, err := s.billing.Session(r.Context(), session.ID)
	if problem.Is(err, "not_found") {
		return session, nil
	}
	if err != nil {
		return session, err
	}
	var c carried
	if err := json.Unmarshal(row.Data, &c); err != nil {
		return session, err
	}
	session.IsNew = false
	session.Values[userKey], session.Values[rowKey], session.Values[carriedKey] = row.UserID, row, c
	return session, nil
}

// Save ends a session (MaxAge < 0), begins one under a new id (IsNew with a
// user), keeps what a live one carries, or gives a visitor an id.
func (s *store) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	ctx, user := r.Context(), userOf(session)
	if session.Options.MaxAge < 0 {
		if !session.IsNew {
			if err := s.billing.EndSession(ctx, session.ID); err != nil {
				return err
			}
		}
		http.SetCookie(w, sessions.NewCookie(s.cookie, "", session.Options))
		return nil
	}
	if user.IsZero() {
		if session.ID == "" {
			session.ID = billing.NewSecret()
			http.SetCookie(w, sessions.NewCookie(s.cookie, session.ID, session.Options))
		}
		return nil
	}
	data, err := json.Marshal(carriedBy(session))
	if err != nil {
		return err
	}
	if !session.IsNew {
		return s.billing.KeepSessionData(ctx, session.ID, data)
	}
	session.ID = billing.NewSecret()
	from, _ := session.Values[originKey].(startedAt)
	row, err := s.billing.StartSession(ctx, session.ID, billing.SessionInput{
		User: user, Data: data, Half: from.half, Agent: from.agent, Address: from.address,
	})
	if err != nil {
		return err
	}
	session.Values[rowKey], session.IsNew = row, false
	session.Options.MaxAge = int(billing.SignInLife / time.Second)
	http.SetCookie(w, sessions.NewCookie(s.cookie, session.ID, session.Options))
	return nil
}

// begin signs a browser in: what it held before is worth nothing afterwards.
func (a *app) begin(c echo.Context, user models.UserID, chosen models.AgencyID, half bool) error {
	v := visitOf(c)
	if v.session == nil {
		return errors.New("sign-in without a session")
	}
	v.session.Values[originKey] = startedAt{agent: c.Request().UserAgent(), address: c.RealIP(), half: half}
	return a.store.beginIn(c.Request(), c.Response(), v.session, user, v.host.id(), chosen)
}

// beginIn begins a session at a portal, of somebody who may have chosen one of
// their agencies.
func (s *store) beginIn(r *http.Request, w http.ResponseWriter, session *sessions.Session, user models.UserID, portal, chosen models.AgencyID) error {
	if !session.IsNew {
		if err := s.billing.EndSession(r.Context(), session.ID); err != nil {
			return err
		}
	}
	session.ID, session.IsNew = "", true
	session.Values[userKey], session.Values[carriedKey] = user, carried{Portal: portal, Agency: chosen}
	return s.Save(r, w, session)
}

// wholeSecret tells whether a cookie can be an id of ours: 32 bytes in base64.
func wholeSecret(s string) bool {
	if len(s) != 43 {
		return false
	}
	for _, b := range []byte(s) {
		if (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' {
			return false
		}
	}
	return true
}
