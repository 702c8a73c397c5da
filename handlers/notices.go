package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// noticesPage is how many notices are listed at once.
const noticesPage = 30

// countNotices puts the number of unread notices into the menu; without it the
// menu stands all the same.
func (a *app) countNotices(c echo.Context, nav []views.NavItem) {
	v := visitOf(c)
	if v.preview != nil {
		return // of a client's page, whose notices are not the viewer's
	}
	n, err := a.Billing.UnreadNotices(c.Request().Context(), v.viewer.Agency.ID, v.viewer.User.ID)
	if err != nil {
		a.sectionFailed(c, "notices", err)
		return
	}
	for i := range nav {
		if nav[i].Key == "notices" {
			nav[i].Count = n
		}
	}
}

// notices lists what the viewer was told.
func (a *app) notices(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	var before models.NoticeID
	if text := c.QueryParam("before"); text != "" {
		var err error
		if before, err = models.ParseID[models.NoticeID](text); err != nil {
			return echo.ErrNotFound
		}
	}
	list, err := a.Billing.NoticesOf(ctx, v.viewer.Account(), v.viewer.User.ID, before, noticesPage)
	if err != nil {
		return err
	}
	var out views.Notices
	for i := range list {
		n := &list[i]
		out.Rows = append(out.Rows, views.NoticeRow{
			ID: n.ID.String(), Title: n.Words.Title, Lines: n.Words.Lines, At: n.At, Unread: n.Unread,
			Link: views.Link{Label: n.Words.Button, Href: n.Words.Path},
		})
		if n.Unread {
			out.Unread++
		}
	}
	if len(list) > 0 {
		out.UpTo = out.Rows[0].ID
	}
	if len(list) == noticesPage {
		out.Older = "/notices?before=" + list[len(list)-1].ID.String()
	}
	if out.Frame, err = a.frame(c, "Notices", "notices", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.NoticesPage(out))
}

// readNotices marks one notice as read, or all up to the newest that was shown.
func (a *app) readNotices(c echo.Context) error {
	v := visitOf(c)
	id, err := models.ParseID[models.NoticeID](c.FormValue("id"))
	if err != nil {
		return echo.ErrNotFound
	}
	if err := a.Billing.ReadNotices(c.Request().Context(), v.viewer.Agency.ID, v.viewer.User.ID, id, c.FormValue("all") != ""); err != nil {
		return err
	}
	return seeOther(c, "/notices")
}

func (a *app) notifications(c echo.Context) error {
	return a.showNotifications(c, http.StatusOK, c.QueryParam("user"), views.Notifications{})
}

// chosen is whose choices are meant: the viewer's own, or for an owner those of
// anybody on the team.
func (a *app) chosen(c echo.Context, user string) (models.UserID, error) {
	v := visitOf(c)
	if user == "" && v.viewer.Assisting {
		return models.UserID{}, nil // who looks is nobody of this account
	}
	if user == "" || user == v.viewer.User.ID.String() {
		return v.viewer.User.ID, nil
	}
	id, err := models.ParseID[models.UserID](user)
	if err != nil || v.role() != roleOwner {
		return id, problem.Missing("person")
	}
	return id, nil
}

func (a *app) showNotifications(c echo.Context, code int, user string, out views.Notifications) error { //nolint:gocritic // once per page
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	id, err := a.chosen(c, user)
	if err != nil {
		return err
	}
	person, people, wishes, err := a.Billing.WishesOf(ctx, account, id)
	if err != nil {
		return err
	}
	out.Tabs = a.settings(c, "/settings/notifications")
	id = person.ID
	out.Person, out.User, out.Email, out.You = person.Name, id.String(), person.Email, id == v.viewer.User.ID
	out.Waits, out.Shares = !a.Billing.CanMail(), account.SubAccount == nil
	out.MayLines = v.role() != roleMember
	if v.role() == roleOwner {
		for i := range people {
			out.People = append(out.People, views.PersonLink{
				Name: people[i].Name, Href: "/settings/notifications?user=" + people[i].ID.String(), Current: people[i].ID == id,
			})
		}
	}
	var programs map[models.NoticeEvent]bool
	if account.SubAccount == nil { // a client's events go to its agency's programs
		if programs, err = a.Billing.HeardBy(ctx, account.Agency.ID); err != nil {
			return err
		}
	}
	out.Hooks = len(programs) > 0
	for _, w := range wishes {
		out.Rows = append(out.Rows, views.WishRow{Event: w.Event, Hook: programs[w.Event], Mail: w.Mail, Must: w.Must, InApp: w.InApp, Who: strings.Join(w.Who, ", ")})
	}
	alarms, err := a.Billing.AlarmsOf(ctx, account)
	if err != nil {
		return err
	}
	out.Usual = alarms.Usual
	if out.Lines == nil {
		out.Lines = lineRows(alarms.Lines)
	}
	for len(out.Lines) < billing.MaxAlarmLines && out.MayLines && (len(out.Lines) < 3 || out.Lines[len(out.Lines)-1].Value != "") {
		out.Lines = append(out.Lines, views.LineRow{Kind: string(billing.AlarmCredits)})
	}
	sent, _, err := a.Billing.SentNotices(ctx, account, models.NoticeID{}, 5)
	if err != nil {
		return err
	}
	out.Sent = sentRows(sent)
	if out.Frame, err = a.frame(c, "Notifications", "settings", nil); err != nil {
		return err
	}
	out.Frame.Failed = len(out.Errors) > 0
	return page(c, code, views.NotificationsPage(out))
}

func lineRows(lines []billing.AlarmLine) []views.LineRow {
	var out []views.LineRow
	for _, l := range lines {
		row := views.LineRow{Kind: string(l.Kind), Value: strconv.FormatInt(l.Value, 10)}
		if l.Kind == billing.AlarmCredits {
			row.Value = format.Credits(models.Credits(l.Value))
		}
		out = append(out, row)
	}
	return out
}

func sentRows(sent []billing.Sending) []views.SentRow {
	var out []views.SentRow
	for _, s := range sent {
		row := views.SentRow{At: s.At, Title: s.Title, Name: s.Name, How: "In the portal", State: "Unread", Tone: views.ToneInfo, Note: s.Note}
		if s.Read {
			row.State, row.Tone = "Read", views.ToneOK
		}
		if s.Email != "" {
			mail := mailRow(&models.Mail{State: s.State})
			row.How, row.State, row.Tone = "Mail to "+s.Email, mail.State, mail.Tone
			if s.InApp {
				row.How += ", and in the portal"
			}
		}
		out = append(out, row)
	}
	return out
}

// chooseNotices stores what somebody wants to hear of.
func (a *app) chooseNotices(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	user := c.FormValue("user")
	id, err := a.chosen(c, user)
	if err != nil {
		return err
	}
	var wishes []billing.Wish
	for _, e := range billing.EventsFor(account.SubAccount != nil) {
		wishes = append(wishes, billing.Wish{Event: e, Mail: c.FormValue("mail."+string(e)) != "", InApp: c.FormValue("app."+string(e)) != ""})
	}
	if err := a.Billing.SetWishes(ctx, account, id, wishes, v.viewer.Actor()); err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Choices saved."}); err != nil {
		return err
	}
	back := "/settings/notifications"
	if id != v.viewer.User.ID {
		back += "?user=" + id.String()
	}
	return seeOther(c, back)
}

// setThresholds stores when the account's people hear of its credits.
func (a *app) setThresholds(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	var lines []billing.AlarmLine
	var rows []views.LineRow
	var at []int // the row of each line
	var wrong views.FieldErrors
	for i := range billing.MaxAlarmLines {
		n := strconv.Itoa(i)
		row := views.LineRow{Kind: c.FormValue("kind-" + n), Value: strings.TrimSpace(c.FormValue("value-" + n))}
		rows = append(rows, row)
		if row.Value == "" {
			continue
		}
		line := billing.AlarmLine{Kind: billing.AlarmKind(row.Kind)}
		if line.Kind == billing.AlarmCredits {
			amount, err := typedCredits(row.Value)
			if err != nil {
				wrong = append(wrong, views.FieldError{Field: "line-" + n, Text: amountText(err)})
			}
			line.Value = int64(amount)
		} else if value, err := strconv.ParseInt(strings.TrimSuffix(row.Value, "%"), 10, 64); err == nil {
			line.Value = value
		} else {
			wrong = append(wrong, views.FieldError{Field: "line-" + n, Text: "Enter a whole number, such as 75."})
		}
		lines, at = append(lines, line), append(at, i)
	}
	if lines == nil {
		lines = []billing.AlarmLine{} // chosen: none
	}
	if c.FormValue("usual") != "" {
		lines, wrong = nil, nil
	}
	if len(wrong) == 0 {
		err := a.Billing.SetAlarms(ctx, v.viewer.Account(), lines, v.viewer.Actor())
		if p := problem.Of(err); p != nil && p.Code == "invalid_threshold" {
			field := p.Field
			if n, err := strconv.Atoi(strings.TrimPrefix(field, "line-")); err == nil && n < len(at) {
				field = "line-" + strconv.Itoa(at[n])
			}
			wrong = views.FieldErrors{{Field: field, Text: p.Message}}
		} else if err != nil {
			return err
		}
	}
	if len(wrong) > 0 {
		return a.showNotifications(c, http.StatusUnprocessableEntity, "", views.Notifications{Lines: rows, Errors: wrong})
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Thresholds saved."}); err != nil {
		return err
	}
	return seeOther(c, "/settings/notifications")
}

// testNotice sends the viewer a notice as real ones are.
func (a *app) testNotice(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	account := v.viewer.Account()
	wallet, err := a.Billing.Wallet(ctx, account)
	if err != nil {
		return err
	}
	left := models.Credits(0)
	if hasBalance(&wallet) {
		left = wallet.Balance.Left()
	}
	flash := views.Flash{Tone: views.ToneOK, Text: "A test is on its way to " + v.viewer.User.Email + "."}
	if !a.Billing.CanMail() {
		flash = views.Flash{Tone: views.ToneWarn, Text: "The test leaves once a mail server is set up."}
	}
	if err := a.Billing.TestNotice(ctx, account, v.viewer.User.ID, left); err != nil {
		p := problem.Of(err)
		if p == nil || p.Kind != problem.TooMany {
			return err
		}
		flash = views.Flash{Tone: views.ToneWarn, Text: p.Message}
	} else if a.Demo != nil && v.host.portal == nil {
		flash.Link = &views.Link{Label: "Open the outbox", Href: "/demo/mail"}
	}
	if err := a.say(c, flash); err != nil {
		return err
	}
	return seeOther(c, "/settings/notifications")
}

// sentNotices is everything the account's people were told.
func (a *app) sentNotices(c echo.Context) error {
	v := visitOf(c)
	var before models.NoticeID
	if text := c.QueryParam("before"); text != "" {
		var err error
		if before, err = models.ParseID[models.NoticeID](text); err != nil {
			return echo.ErrNotFound
		}
	}
	sent, last, err := a.Billing.SentNotices(c.Request().Context(), v.viewer.Account(), before, noticesPage)
	if err != nil {
		return err
	}
	out := views.SentNotices{Rows: sentRows(sent), Tabs: a.settings(c, "/settings/notifications")}
	if !last.IsZero() {
		out.Older = "/settings/notifications/sent?before=" + last.String()
	}
	if out.Frame, err = a.frame(c, "What was sent", "settings", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SentNoticesPage(out))
}

// sentNoticesCSV is all of it, the newest first: a line for each person told.
func (a *app) sentNoticesCSV(c echo.Context) error {
	ctx, account := c.Request().Context(), visitOf(c).viewer.Account()
	return a.list(c, "notices-sent", []string{
		"time_local", "time_utc", "notice", "name", "email", "mail", "in_portal", "read", "note",
	}, func(write func(...string) error) error {
		var before models.NoticeID
		for {
			sent, last, err := a.Billing.SentNotices(ctx, account, before, billing.MaxPage)
			if err != nil {
				return err
			}
			for i := range sent {
				s := &sent[i]
				local, utc := stamps(s.At, account.Zone)
				if err := write(local, utc, text(s.Title), text(s.Name), text(s.Email), string(s.State), yesNo(s.InApp), yesNo(s.Read), text(s.Note)); err != nil {
					return err
				}
			}
			if last.IsZero() {
				return nil
			}
			before = last
		}
	})
}

// offVerb reads what an address turns off, or does it.
type offVerb func(ctx context.Context, portal models.AgencyID, token string) (billing.MailsOff, error)

// mailsOffForm asks whether mails are to stop. The address in the mail is enough:
// looking at it changes nothing, its button or the mail program's own does.
func (a *app) mailsOffForm(c echo.Context) error { return a.showMailsOff(c, a.Billing.MailsOff) }

// mailsOff stops them: for the page's button and for mail programs (RFC 8058),
// which have neither cookie nor token.
func (a *app) mailsOff(c echo.Context) error { return a.showMailsOff(c, a.Billing.TurnMailsOff) }

func (a *app) showMailsOff(c echo.Context, do offVerb) error {
	c.Response().Header().Set("Referrer-Policy", "no-referrer")
	status := http.StatusOK
	off, err := do(c.Request().Context(), visitOf(c).host.id(), c.Param("token"))
	gone := problem.Is(err, "link_expired")
	if gone {
		status = http.StatusGone
	} else if err != nil {
		return err
	}
	out := views.MailsOff{Email: off.Email, Events: off.Events, Done: off.Off, Gone: gone, Action: "/notices/off/" + c.Param("token"), Sign: "/settings/notifications"}
	title := "Turn mails off"
	if off.Off {
		title = "Mails turned off"
	}
	if out.Frame, err = a.formFrame(c, title); err != nil {
		return err
	}
	return page(c, status, views.MailsOffPage(out))
}
