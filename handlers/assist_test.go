package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// looked lists who looked at what, in any order.
func (p *portal) looked() []string {
	p.t.Helper()
	var rows []models.AuditEntry
	require.NoError(p.t, p.db.Read.Where("action IN ?", []string{"assist.begin", "assist.end"}).Order("id").Find(&rows).Error)
	var out []string
	for _, r := range rows {
		out = append(out, r.Actor+" "+r.Action+" "+r.Target)
	}
	return out
}

func TestAnAgencyLooksAsItsClientAndChangesNothing(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		growth := p.sells()
		b := p.as("owner")
		at := "/sub-accounts/" + p.acme.ID.String()
		require.Equal(t, "/", b.fill(at, at+"/look", url.Values{}).to())
		first := b.get("/")
		main := words(first.doc().Selection)
		require.Contains(t, main, "You see what ACME sees, and can change nothing. It ends at 10:30.")
		require.Equal(t, "Northwind Agency", first.doc().Find("header .brand").Text(), "the client's portal bears the agency's name")
		for _, page := range []string{"/usage", "/history", "/buy", "/purchases"} {
			require.Equal(t, http.StatusOK, b.get(page).StatusCode, page)
		}
		require.Contains(t, words(b.get("/buy").doc().Find(".offer").First()), "Growth", "what the client is offered")
		for _, page := range []string{"/packages", "/sales", "/sub-accounts", at} {
			require.Equal(t, http.StatusForbidden, b.get(page).StatusCode, page)
		}
		refused := b.fill("/buy", "/buy", url.Values{"pack": {growth.ID.String()}, "attempt": {"a"}})
		require.Equal(t, http.StatusForbidden, refused.StatusCode)
		require.Contains(t, refused.body, "You are looking as somebody else and can change nothing.")
		var sales int64
		require.NoError(t, db.Read.Model(&models.Purchase{}).Where("wallet_id = ?", p.acme.WalletID).Count(&sales).Error)
		require.Zero(t, sales)

		require.Equal(t, at, b.fill("/", "/look/end", url.Values{}).to())
		require.Equal(t, http.StatusOK, b.get(at).StatusCode, "the owner is themselves again")
		require.ElementsMatch(t, []string{
			"user:owner@example.test assist.begin " + p.acme.ID.String(), "user:owner@example.test assist.end " + p.acme.ID.String(),
		}, p.looked())

		require.Equal(t, "/", b.fill(at, at+"/look", url.Values{}).to())
		p.wall.set(p.wall.Now().Add(31 * time.Minute))
		require.NotContains(t, b.get("/").body, "You see what")
		require.Equal(t, http.StatusOK, b.get("/packages").StatusCode, "it ends by itself")
	})
}

func TestAnAdminLooksAsAnAgency(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("admin")
		at := "/admin/agencies/" + p.bluebird.ID.String()
		require.Equal(t, "/", b.fill(at, at+"/look", url.Values{}).to())
		require.Contains(t, words(b.get("/").doc().Selection), "You see what Bluebird Studio sees")
		require.Equal(t, http.StatusOK, b.get("/sub-accounts/"+p.maple.ID.String()).StatusCode)
		require.Equal(t, http.StatusNotFound, b.get("/sub-accounts/"+p.acme.ID.String()).StatusCode, "one agency at a time")
		require.Equal(t, http.StatusForbidden, b.get("/admin").StatusCode)
		further := "/sub-accounts/" + p.maple.ID.String()
		require.Equal(t, http.StatusForbidden, b.fill(further, further+"/look", url.Values{}).StatusCode, "who looks does not look further")
		require.Equal(t, at, b.fill("/", "/look/end", url.Values{}).to())
		require.Equal(t, http.StatusOK, b.get("/admin").StatusCode)
		require.Len(t, p.looked(), 2)

		// A right that is taken away ends the look with the next request.
		require.Equal(t, "/", b.fill(at, at+"/look", url.Values{}).to())
		require.NoError(t, db.Write.Model(&models.User{}).Where("id = ?", p.users["admin"].ID).Update("disabled_at", 1).Error)
		require.Equal(t, http.StatusSeeOther, b.get("/").StatusCode)
	})
}
