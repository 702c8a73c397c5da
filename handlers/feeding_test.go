package handlers_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// TestCreditsAreAssignedToManyAndUndone goes through the form as a person does:
// what was shown is what is booked, once, and one button takes it back.
func TestCreditsAreAssignedToManyAndUndone(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		birch, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: p.northwind.ID, ExternalID: "birch", Name: "Birch", Funding: models.Prepaid, By: "test",
		})
		require.NoError(t, err)
		b, had := p.as("owner"), p.left()
		const path = "/sub-accounts/bulk"
		require.Equal(t, 1, b.get("/sub-accounts").doc().Find(`main a[href="`+path+`"]`).Length())

		plan := b.fill(path, path, url.Values{"way": {"same"}, "credits": {"1,000"}, "note": {"Holiday"}, "step": {"preview"}})
		require.Equal(t, http.StatusSeeOther, plan.StatusCode)
		shown := b.get(plan.to())
		require.Contains(t, shown.main(), "2,000 credits to 2 clients. Leaves you "+group(had-2000*models.Credit)+".")
		require.Equal(t, had, p.left(), "looking books nothing")
		send := url.Values{"csrf_token": {shown.token()}, "step": {"assign"}, "way": {"same"}, "note": {"Holiday"}, "attempt": {shown.field("attempt")}}
		for _, in := range shown.doc().Find("input[name=share]").EachIter() {
			send.Add("share", in.AttrOr("value", ""))
		}
		require.Len(t, send["share"], 2)
		var done string
		for range 2 {
			a := b.post(path, send)
			require.Equal(t, http.StatusSeeOther, a.StatusCode, a.body)
			done = a.to()
		}
		require.Equal(t, had-2000*models.Credit, p.left(), "once, however often the form is sent")
		p.charge("sub:northwind/birch")
		require.Contains(t, b.get(done).main(), "1,975 credits of them are unspent.")
		line, _ := b.get(done).doc().Find("td a").First().Attr("href")
		require.Contains(t, b.get(line).main(), "An assignment to many clients")
		require.Equal(t, http.StatusForbidden, p.as("member").fill("/", done+"/undo", url.Values{}).StatusCode)
		require.Equal(t, done, b.fill(done, done+"/undo", url.Values{}).to())
		require.Contains(t, b.get(done).main(), "1,975 credits returned to the credits they came from.")
		require.Equal(t, had-25*models.Credit, p.left())
		require.Zero(t, p.balanceOf(birch))

		for _, wrong := range []string{"?way=same&credits=0", "?way=same&credits=many", "?way=luck&credits=5"} {
			a := b.get(path + wrong)
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, wrong)
			require.Zero(t, a.doc().Find("input[name=share]").Length(), wrong)
		}
		short := b.get(path + "?way=same&credits=200000")
		require.Contains(t, short.main(), "too few. Nothing will be assigned until the sum fits.")
		require.Zero(t, short.doc().Find("input[name=share]").Length())
	})
}

// What is refused comes back as it was sent: the same clients, not all of them.
func TestARefusedAssignmentKeepsItsClients(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	const path = "/sub-accounts/bulk"
	_, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
		Agency: p.northwind.ID, ExternalID: "birch", Name: "Birch", Funding: models.Prepaid, By: "test",
	})
	require.NoError(t, err)
	chosen := func(page answer) []string {
		t.Helper()
		require.Equal(t, 1, page.doc().Find("details[open] #accounts").Length(), "who is chosen can be seen")
		return page.doc().Find("input[name=account][checked]").Map(func(_ int, s *goquery.Selection) string { return s.AttrOr("value", "") })
	}
	one := []string{p.acme.ID.String()}
	shown := b.get(b.fill(path, path, url.Values{"way": {"same"}, "credits": {"1,000"}, "account": one, "step": {"preview"}}).to())
	require.Contains(t, shown.main(), "1,000 credits to 1 client.")
	require.Equal(t, one, chosen(shown))
	send := url.Values{}
	for _, in := range shown.doc().Find(`form:has(button[value=assign]) input`).EachIter() {
		send.Add(in.AttrOr("name", ""), in.AttrOr("value", ""))
	}
	send.Set("step", "assign")
	send.Set("note", strings.Repeat("x", 600))
	refused := b.post(path, send)
	require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode)
	require.Equal(t, one, chosen(refused))
	require.Equal(t, "1,000", refused.field("credits"))

	// Nor are they lost where the credits have gone meanwhile.
	send.Set("note", "")
	send["share"] = []string{one[0] + ":99999999"}
	refused = b.post(path, send)
	require.Equal(t, http.StatusPaymentRequired, refused.StatusCode)
	require.Equal(t, one, chosen(refused))
	require.Zero(t, b.get(path).doc().Find("details[open] #accounts").Length())
}

// An address with a hundred clients would be too long for many a proxy.
func TestManyChosenClientsNeedNoLongAddress(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	const path = "/sub-accounts/bulk"
	var refs []string
	for i := range 100 {
		sub, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: p.northwind.ID, ExternalID: fmt.Sprint("many-", i), Name: fmt.Sprint("Many ", i), Funding: models.Prepaid, By: "test",
		})
		require.NoError(t, err)
		refs = append(refs, sub.ID.String())
	}
	form := url.Values{"way": {"same"}, "credits": {"10"}, "account": refs[:99], "step": {"preview"}}
	shown := b.fill(path, path, form)
	require.Equal(t, http.StatusOK, shown.StatusCode)
	require.Contains(t, shown.main(), "990 credits to 99 clients.")
	require.Equal(t, 99, shown.doc().Find("input[name=account][checked]").Length())
	require.Equal(t, 99, shown.doc().Find("input[name=share]").Length())
	form["credits"] = []string{"none"}
	require.Equal(t, http.StatusUnprocessableEntity, b.fill(path, path, form).StatusCode)
}

// A list is shown before it is booked, from a file as from the field.
func TestAListIsTriedBeforeItIsBooked(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	const path = "/sub-accounts/bulk"
	had := p.left()
	a := b.fill(path, path, url.Values{"way": {"list"}, "list": {"client,credits\nacme,250"}, "step": {"preview"}})
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Contains(t, a.main(), "250 credits to 1 client.")
	require.Equal(t, p.acme.ID.String()+":250", a.field("share"))
	require.Equal(t, had, p.left())
	a = b.fill(path, path, url.Values{"way": {"list"}, "list": {"acme,250\nnobody,5"}, "step": {"preview"}})
	require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode)
	require.Contains(t, a.doc().Find("#list-error").Text(), `line 2: there is no client "nobody"`)
	require.Contains(t, a.doc().Find("#list").Text(), "acme,250")

	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range map[string]string{"csrf_token": b.get(path).token(), "way": "list", "step": "preview"} {
		require.NoError(t, w.WriteField(name, value))
	}
	file, err := w.CreateFormFile("file", "list.csv")
	require.NoError(t, err)
	_, err = file.Write([]byte("acme;75\r\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	req := b.request(http.MethodPost, path, url.Values{})
	req.Body, req.ContentLength = io.NopCloser(&body), int64(body.Len())
	req.Header.Set("Content-Type", w.FormDataContentType())
	sent := b.do(req)
	require.Equal(t, http.StatusOK, sent.StatusCode, sent.body)
	require.Equal(t, p.acme.ID.String()+":75", sent.field("share"))
}

func TestMonthlyCreditsAreSetChangedAndStopped(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b, path := p.as("owner"), acmePath(p)
	require.Contains(t, b.get(path).main(), "Nothing is assigned by itself.")
	wrong := b.fill(path+"/monthly", path+"/monthly", url.Values{"credits": {"5,000"}, "day": {"32"}, "unused": {"burn"}})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(t, 1, wrong.doc().Find("#day-error").Length())
	require.Equal(t, 1, wrong.doc().Find("#unused-error").Length())
	require.Equal(t, path, b.fill(path+"/monthly", path+"/monthly", url.Values{"credits": {"5,000"}, "day": {"1"}, "unused": {"return"}, "note": {"Retainer"}}).to())
	page := b.get(path)
	require.Contains(t, page.main(), "ACME gets 5,000 credits every month.")
	require.Contains(t, page.main(), "5,000 credits every month on the 1st; what is unused returns to you first.")
	form := b.get(path + "/monthly")
	require.Equal(t, "5000", form.field("credits"))
	require.Equal(t, "Retainer", form.field("note"))
	require.Equal(t, path, b.fill(path, path+"/monthly/stop", url.Values{}).to())
	require.Contains(t, b.get(path).main(), "Nothing is assigned by itself.")
	require.Equal(t, http.StatusForbidden, p.as("member").get(path+"/monthly").StatusCode)
}

func TestCreditsMoveBetweenClientsFromTheForm(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b, path := p.as("owner"), acmePath(p)
	require.Contains(t, b.get(path+"/move").main(), "There is nothing to move")
	birch, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
		Agency: p.northwind.ID, ExternalID: "birch", Name: "Birch", Funding: models.Prepaid, By: "test",
	})
	require.NoError(t, err)
	require.Equal(t, path, b.fill(path+"/assign", path+"/assign", url.Values{"credits": {"100"}}).to())
	had := p.left()
	for _, in := range []url.Values{
		{"to": {""}, "credits": {"5"}}, {"to": {birch.ID.String()}, "credits": {"0"}}, {"to": {birch.ID.String()}, "credits": {"101"}}, {"to": {p.acme.ID.String()}, "credits": {"5"}},
	} {
		a := b.fill(path+"/move", path+"/move", in)
		require.GreaterOrEqual(t, a.StatusCode, 400)
		require.Equal(t, 1, a.doc().Find(".field-error, .err, [id$=-error]").Length(), a.main())
	}
	require.Equal(t, path, b.fill(path+"/move", path+"/move", url.Values{"to": {birch.ID.String()}, "credits": {"60"}, "note": {"Moved"}}).to())
	require.Equal(t, []models.Credits{40 * models.Credit, 60 * models.Credit, had}, []models.Credits{p.balanceOf(p.acme), p.balanceOf(birch), p.left()})
	back, ok := b.get(path).doc().Find(".flash a").Attr("href")
	require.True(t, ok)
	line := b.get(back)
	require.Contains(t, line.main(), "60 credits of this assignment are unspent.")
	require.Equal(t, back, b.fill(back, back+"/undo", url.Values{}).to())
	require.Contains(t, b.get(back).main(), "60 credits taken back.")
	require.Zero(t, p.balanceOf(birch))
	require.Equal(t, had+60*models.Credit, p.left())
}
