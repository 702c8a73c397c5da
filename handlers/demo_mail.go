package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/models"
	"refill/views"
	"refill/views/format"
)

// mailsPage is how many mails are listed at once.
const mailsPage = 50

// shows tells whether the outbox has pages here: in a demonstration, on the
// platform's own host.
func (a *app) showsMail(c echo.Context) bool { return a.Demo != nil && visitOf(c).host.portal == nil }

func (a *app) demoMails(c echo.Context) error {
	if !a.showsMail(c) {
		return echo.ErrNotFound
	}
	before, err := strconv.ParseInt(c.QueryParam("before"), 10, 64)
	if err != nil {
		before = 0
	}
	mails, err := a.Billing.Mails(c.Request().Context(), before, mailsPage)
	if err != nil {
		return err
	}
	out := views.Mails{Frame: a.bareFrame(c, "Outbox")}
	for i := range mails {
		out.Rows = append(out.Rows, mailRow(&mails[i]))
	}
	if len(mails) == mailsPage {
		out.Older = "/demo/mail?before=" + strconv.FormatInt(mails[len(mails)-1].ID, 10)
	}
	return page(c, http.StatusOK, views.MailsPage(out))
}

func mailRow(m *models.Mail) views.MailRow {
	row := views.MailRow{
		Href: "/demo/mail/" + strconv.FormatInt(m.ID, 10), To: m.Recipient, From: m.FromName, Subject: m.Subject, At: m.CreatedAt,
		State: "Waiting", Tone: views.ToneWarn,
	}
	switch m.State {
	case models.MailQueued:
	case models.MailSent:
		row.State, row.Tone = "Sent", views.ToneOK
	case models.MailDead:
		row.State, row.Tone = "Given up", views.ToneBad
	case models.MailDropped:
		row.State, row.Tone = "Not needed", views.ToneInfo
	}
	return row
}

func (a *app) demoMail(c echo.Context) error {
	if !a.showsMail(c) {
		return echo.ErrNotFound
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return echo.ErrNotFound
	}
	m, err := a.Billing.Mail(c.Request().Context(), id)
	if err != nil {
		return err
	}
	out := views.Mail{Frame: a.bareFrame(c, "Mail"), Row: mailRow(&m), ReplyTo: m.ReplyTo, Note: m.Note, Parts: mailParts(m.Text)}
	if m.Subject != "" {
		out.Frame.Title = m.Subject
	}
	return page(c, http.StatusOK, views.MailPage(out))
}

// mailParts makes a link of each line that is an address.
func mailParts(text string) []views.MailPart {
	var out []views.MailPart
	for line := range strings.Lines(text) {
		part := views.MailPart{Text: line}
		if strings.HasPrefix(line, "http://") || strings.HasPrefix(line, "https://") {
			part.Text = strings.TrimRight(line, "\n")
			part.Href = part.Text
			out = append(out, part, views.MailPart{Text: "\n"})
			continue
		}
		out = append(out, part)
	}
	return out
}

// mailNotice tells an admin that mails do not leave; nil when they do.
func (a *app) mailNotice(c echo.Context) *views.Notice {
	m, err := a.Billing.MailStanding(c.Request().Context())
	if err != nil {
		a.sectionFailed(c, "mail", err)
		return nil
	}
	waiting := format.Plural(m.Queued, "mail waits", "mails wait")
	switch {
	case !m.Ready && m.Queued > 0:
		return &views.Notice{Tone: views.ToneWarn, Lead: waiting + ".", Text: "No mail server is set up: start Refill with REFILL_SMTP_URL and REFILL_MAIL_FROM."}
	case m.Trouble != "":
		return &views.Notice{Tone: views.ToneWarn, Lead: "The mail server can't be reached.", Text: waiting + "; they are tried again every few minutes. The log says why."}
	case m.Dead > 0:
		return &views.Notice{Tone: views.ToneWarn, Lead: format.Plural(m.Dead, "mail was", "mails were") + " given up in the last seven days.", Text: "The mail server refused them; the log says why."}
	}
	return nil
}
