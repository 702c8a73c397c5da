package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// sendTime bounds the handing over of one message.
const sendTime = 10 * time.Second

// A mail server refuses a message for good, or cannot be reached at all. Any other
// failure may pass.
var (
	ErrRefused     = errors.New("the mail server refuses the message")
	ErrUnreachable = errors.New("the mail server cannot be reached")
)

// SMTP hands messages to a mail server.
type SMTP struct {
	host    string
	from    string
	domain  string // of from: names us to the server and in message ids
	options []gomail.Option
}

// NewSMTP reads where mail goes: smtp://user:password@host:587 uses STARTTLS and
// fails without it, smtps://host:465 is TLS from the start, and
// smtp://localhost:25?tls=none is for a server on the same machine. from is the
// bare address that mails come from.
func NewSMTP(server, from string) (*SMTP, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("the mail server's address is like smtp://user:password@mail.example:587 or smtps://mail.example:465") // never with what was given: it holds a password
	}
	at, err := netmail.ParseAddress(from)
	if err != nil || at.Address != from {
		return nil, fmt.Errorf("%q is not an address mails can come from, such as credits@agency.example", from)
	}
	_, domain, _ := strings.Cut(from, "@")
	s := &SMTP{host: u.Hostname(), from: from, domain: domain}
	s.options = []gomail.Option{gomail.WithTimeout(sendTime), gomail.WithHELO(domain)}
	port := 587
	if u.Scheme == "smtps" {
		s.options, port = append(s.options, gomail.WithSSL()), 465
	} else if err := s.secure(u); err != nil {
		return nil, err
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return nil, err
		}
	}
	s.options = append(s.options, gomail.WithPort(port))
	if password, ok := u.User.Password(); ok {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, fmt.Errorf("the mail server's address: %w", err)
	}
	return s, nil
}

// secure decides about STARTTLS. Plain text is for loopback: what we mail lets
// people in.
func (s *SMTP) secure(u *url.URL) error {
	switch u.Query().Get("tls") {
	case "", "required":
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
		return nil
	case "none":
		if ip := net.ParseIP(s.host); s.host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return errors.New("tls=none is only for a mail server on this machine: mails carry links that sign people in")
		}
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
		return nil
	}
	return errors.New("tls is required (the default) or none")
}

// Send hands one message over. Errors: ErrRefused, ErrUnreachable, and whatever
// else a server may say.
func (s *SMTP) Send(ctx context.Context, m Message) error { //nolint:gocritic // sent over a network: the copy is nothing
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent()) // it would name what we are made of
	from, domain := s.from, s.domain
	if m.From != "" { // then nothing in the mail names anybody else
		from = m.From
		_, domain, _ = strings.Cut(from, "@")
	}
	msg.FromMailAddress(&netmail.Address{Name: m.FromName, Address: from})
	msg.ToMailAddress(&netmail.Address{Address: m.To})
	if m.ReplyTo != "" {
		msg.ReplyToMailAddress(&netmail.Address{Address: m.ReplyTo})
	}
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(m.Date)
	msg.Subject(m.Subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.Unsubscribe != "" {
		msg.SetGenHeader(gomail.HeaderListUnsubscribe, "<"+m.Unsubscribe+">")
		msg.SetGenHeader(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	err = client.Send(msg)
	// The server has answered; how the farewell goes changes nothing.
	_ = client.Close()
	if failed, ok := errors.AsType[*gomail.SendError](err); ok && failed.ErrorCode() >= 500 {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// Kept is the demonstration's mail server: everybody's mail stays where it is, in
// the outbox, for its page to show.
type Kept struct{}

// Send does nothing, successfully.
func (Kept) Send(context.Context, Message) error { return nil }
