package handlers

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"

	"github.com/labstack/echo/v4"
)

// A form's token is derived from the session's id, which scripts cannot read and
// other sites do not know. It is masked anew on every page, so that compressed
// pages do not give it away by their length.

const tokenBytes = sha256.Size

// csrfToken is the token of a page's forms. A visitor who has no id yet is given
// one.
func (a *app) csrfToken(c echo.Context) (string, error) {
	v := visitOf(c)
	if v.session == nil {
		return "", nil
	}
	if v.session.ID == "" {
		if err := v.session.Save(c.Request(), c.Response()); err != nil {
			return "", err
		}
	}
	masked := make([]byte, 2*tokenBytes)
	_, _ = rand.Read(masked[:tokenBytes]) // never fails: the runtime aborts without randomness
	subtle.XORBytes(masked[tokenBytes:], masked[:tokenBytes], tokenOf(v.session.ID))
	return base64.RawURLEncoding.EncodeToString(masked), nil
}

func tokenOf(id string) []byte {
	mac := hmac.New(sha256.New, []byte(id))
	_, _ = mac.Write([]byte("form token"))
	return mac.Sum(nil)
}

// checkForm refuses a request that did not come from a form of ours: by what the
// browser says of its origin, and by the token.
func (a *app) checkForm(c echo.Context) error {
	if err := a.origin.Check(c.Request()); err != nil {
		return errForeignForm
	}
	v := visitOf(c)
	masked, err := base64.RawURLEncoding.DecodeString(c.FormValue("csrf_token"))
	if err != nil || len(masked) != 2*tokenBytes || v.session == nil || v.session.ID == "" {
		return errForeignForm
	}
	mask, token := masked[:tokenBytes], masked[tokenBytes:]
	subtle.XORBytes(token, token, mask)
	if !hmac.Equal(token, tokenOf(v.session.ID)) {
		return errForeignForm
	}
	return nil
}

// errForeignForm is answered with a page that says how to go on.
var errForeignForm = echo.NewHTTPError(http.StatusForbidden, "form")
