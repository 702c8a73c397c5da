package handlers_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How long an answer takes, and what it says, tells nobody whether an address is
// known: so many times at each door that somebody without a session may knock at
// (TIMINGS, which make security sets). It runs beside no other test.
func TestAnAnswersTimeTellsNoAddress(t *testing.T) { //nolint:paralleltest // its times are what it is about
	n := size("TIMINGS", 0)
	if n == 0 {
		return // make security
	}
	p := sqlite(t)
	for _, door := range []struct{ page, form string }{{"/sign-in", "/sign-in"}, {"/sign-in", "/sign-in/link"}, {"/forgotten", "/forgotten"}} {
		took, said := map[string][]time.Duration{}, map[string]string{}
		for i := range n {
			p.later(16 * time.Minute) // nobody has asked too often
			for j := range 3 {
				who := []string{"known", "known, without a password", "unknown"}[(i+j)%3] // none is always the first
				email := map[string]string{"known": "owner@example.test", "known, without a password": "member@example.test", "unknown": fmt.Sprintf("p%d@example.test", i)}[who]
				b := p.visitor(home)
				form := url.Values{"csrf_token": {b.get(door.page).token()}, "email": {email}, "password": {"wrong horse battery"}}
				began := time.Now()
				a := b.post(door.form, form)
				took[who] = append(took[who], time.Since(began))
				text := ""
				if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
					text = strings.ReplaceAll(a.doc().Find("main").Text(), email, "")
				}
				said[who] = fmt.Sprint(a.StatusCode, " ", a.to(), " ", text)
			}
		}
		for _, who := range []string{"known", "known, without a password"} {
			var later []time.Duration // than an address that is not, asked for beside it: what else the machine does hits both
			for i, known := range took[who] {
				later = append(later, known-took["unknown"][i])
			}
			slices.Sort(later)
			off := later[n/2]
			t.Logf("%s: %d times each, who is %s and who is not: %s apart in the middle, half of all between %s and %s", door.form, n, who, off, later[n/4], later[n*3/4])
			require.Less(t, off.Abs(), 5*time.Millisecond, "%s tells by its time who is %s", door.form, who)
			require.Equal(t, said["unknown"], said[who], "%s tells who is %s", door.form, who)
		}
	}
}
