package handlers_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// stowaway are fields that somebody may add to a form that does not have them: names
// of columns, and of what a row is bound to.
func (c *canary) stowaway(mark int) url.Values {
	out := url.Values{}
	for _, name := range []string{"agency_id", "agency", "AgencyID", "agencyId"} {
		out.Set(name, c.bluebird.ID.String())
	}
	for _, name := range []string{"sub_account_id", "sub_account", "SubAccountID"} {
		out.Set(name, c.maple.ID.String())
	}
	for _, name := range []string{"wallet_id", "wallet", "WalletID"} {
		out.Set(name, c.bluebird.WalletID.String())
	}
	for _, name := range []string{"user_id", "user", "UserID"} {
		out.Set(name, c.users["stranger"].ID.String())
	}
	for _, name := range []string{"role", "Role"} {
		out.Set(name, string(models.RoleOwner))
	}
	for _, name := range []string{"platform_role", "PlatformRole", "admin"} {
		out.Set(name, models.PlatformAdmin)
	}
	for _, name := range []string{"price", "amount", "paid", "balance", "credits", "remaining", "granted", "cost", "fee", "unit_price", "excess_limit", "allowance", "Price", "Balance"} {
		out.Set(name, strconv.Itoa(mark))
	}
	return out
}

// taken finds a number that was stowed away: as it is, in cents, or in millionths.
var taken = regexp.MustCompile(`\b98765\d{4}(00|000000)?\b`)

// stowAway sends every form as its page does, as an owner, a client and an admin, with
// fields that it does not have: another agency's ids, a role, numbers of its own. All
// of it goes nowhere: nothing of the other agency's changes, nobody has another role,
// and none of the numbers is written. In make test every third form stands for all.
func (a *attacker) stowAway() {
	t := a.t
	t.Helper()
	before, roles := a.bluebirds(), a.roles()
	every, sent, refused := 3, 0, 0
	if size("LINKS", 0) > 0 {
		every = 1
	}
	// What a form of the route has is its own business.
	knows := func(route string) map[string]bool {
		out := map[string]bool{}
		for _, f := range a.forms[route] {
			for name := range f.fields {
				out[name] = true
			}
			for name := range f.may {
				out[name] = true
			}
		}
		return out
	}
	send := func(who, at, route string, form url.Values) answer {
		sent++
		known := knows(route)
		for name, values := range a.stowaway(987_650_000 + sent) {
			if !known[name] && !form.Has(name) {
				form[name] = values
			}
		}
		form.Set("csrf_token", a.hall.tokens[who])
		got := a.hall.browsers[who].post(at, form)
		if to, _, _ := strings.Cut(got.to(), "?"); to == "/sign-in" || route == "POST /switch" || strings.HasSuffix(route, "/look") {
			a.reenter(who)
		}
		return got
	}
	n := 0
	for _, route := range slices.Sorted(maps.Keys(a.forms)) {
		for _, form := range a.forms[route] {
			if n++; n%every > 0 || form.action == "/sign-out" || keptOut(strings.TrimPrefix(route, "POST ")) {
				continue
			}
			for _, who := range []string{"owner", "client", "admin"} {
				fields := maps.Clone(form.fields)
				if got := send(who, form.action, route, fields); got.StatusCode >= http.StatusBadRequest {
					refused++
				}
			}
		}
	}
	after := a.bluebirds()
	for table, had := range before {
		require.Equal(t, had, after[table], "a form changed what is Bluebird's in %s", table)
	}
	require.Equal(t, roles, a.roles(), "a form gave somebody a role")
	for table, rows := range a.dump() {
		require.Empty(t, taken.FindString(rows), "a form's number is in %s", table)
	}
	require.Greater(t, sent, refused, "many are taken")
	t.Logf("%d forms sent with fields that they do not have, %d of them refused: none was taken", sent, refused)
}

// dump is every table as text.
func (c *canary) dump() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for table := range modelstest.Digest(c.t, c.db) {
		var rows []map[string]any
		require.NoError(c.t, c.db.Read.Table(table).Find(&rows).Error)
		out[table] = fmt.Sprint(rows)
	}
	return out
}

// bluebirds are the rows that name Bluebird, by table.
func (c *canary) bluebirds() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for table := range modelstest.Digest(c.t, c.db, "notices", "notice_copies", "members") {
		var rows []map[string]any
		require.NoError(c.t, c.db.Read.Table(table).Find(&rows).Error)
		rows = slices.DeleteFunc(rows, func(row map[string]any) bool {
			for _, value := range row {
				if id, ok := value.([]byte); ok && bytes.Equal(id, c.bluebird.ID[:]) {
					return false
				}
			}
			return true
		})
		if len(rows) > 0 {
			out[table] = fmt.Sprint(rows)
		}
	}
	require.Greater(c.t, len(out), 20)
	return out
}

// roles is who may what: people who administer, and members by role.
func (c *canary) roles() map[string]int64 {
	c.t.Helper()
	out := map[string]int64{}
	for name, query := range map[string]string{
		"admins": "SELECT COUNT(*) FROM users WHERE platform_role <> ''", "owners": "SELECT COUNT(*) FROM members WHERE role = 'owner'",
		"owners to be": "SELECT COUNT(*) FROM invitations WHERE role = 'owner'",
	} {
		var n int64
		require.NoError(c.t, c.db.Read.Raw(query).Scan(&n).Error)
		out[name] = n
	}
	return out
}
