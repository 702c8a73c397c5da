package mail_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"refill/billing/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func letters() map[string]mail.Letter {
	return map[string]mail.Letter{
		"invitation-client": mail.Invitation{
			Brand: "Northwind Agency", Inviter: "nora@northwind.example", Place: "Acme Dental",
			URL: "http://northwind.localhost:8080/invitations/t0k3n", Until: "Sun, Nov 29",
		}.Letter(),
		"invitation-team": mail.Invitation{
			Brand: "Refill", Inviter: "nora@northwind.example", Place: "Northwind Agency",
			URL: "http://localhost:8080/invitations/t0k3n", Until: "Sun, Nov 29",
		}.Letter(),
		"sign-in":       mail.SignIn{Brand: "Northwind Agency", URL: "http://northwind.localhost:8080/sign-in/t0k3n", Minutes: 10}.Letter(),
		"sign-in-joins": mail.SignIn{Brand: "Refill", URL: "http://localhost:8080/sign-in/t0k3n", Minutes: 10, Joins: true}.Letter(),
		"new-password":  mail.NewPassword{Brand: "Northwind Agency", URL: "http://northwind.localhost:8080/forgotten/t0k3n", Minutes: 10}.Letter(),
		"confirm-email": mail.ConfirmEmail{Brand: "Northwind Agency", URL: "http://northwind.localhost:8080/confirm-email/t0k3n", Minutes: 60}.Letter(),
		"account-changed": mail.AccountChanged{
			Brand: "Northwind Agency", What: "Your password was changed.", URL: "http://northwind.localhost:8080/settings/security",
		}.Letter(),
	}
}

// TestGolden shows what a change does to every mail.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, letter := range letters() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m mail.Message
			require.NoError(t, m.Write(letter))
			require.LessOrEqual(t, len(m.HTML), mail.MaxHTML)
			require.Equal(t, letter.Brand, m.FromName)
			for kind, got := range map[string]string{"txt": "Subject: " + m.Subject + "\n\n" + m.Text, "html": m.HTML} {
				file := filepath.Join("testdata", name+"."+kind)
				if *update {
					require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err, "a new mail needs -update")
				require.Equal(t, string(want), got)
			}
			require.Contains(t, m.Text, letter.URL, "who reads text can follow the link")
			require.Contains(t, m.HTML, `href="`+letter.URL+`"`)
			for _, line := range append(letter.Lines, letter.After...) {
				require.Contains(t, m.Text, line)
			}
			if letter.Brand != "Refill" {
				require.NotContains(t, strings.ToLower(m.Subject+m.Text+m.HTML), "refill", "a client's mail names nobody but their agency")
			}
			require.NotRegexp(t, `<(script|img|link)`, m.HTML, "nothing is fetched from anywhere")
			require.NotContains(t, m.Text+m.Subject, "!")
		})
	}
}

// TestNamesCannotForgeALetter puts markup, line breaks and invisible characters
// into every name.
func TestNamesCannotForgeALetter(t *testing.T) {
	t.Parallel()
	evil := "Evil\r\nBcc: all@example.test\u202e<script>alert(1)</script>\u200b"
	var m mail.Message
	require.NoError(t, m.Write(mail.Invitation{Brand: evil, Inviter: evil, Place: evil, URL: "https://example.test/i", Until: "Sun, Nov 29"}.Letter()))
	for _, header := range []string{m.FromName, m.Subject} {
		require.NotContains(t, header, "\n")
		require.NotContains(t, header, "\r")
		require.NotContains(t, header, "\u202e")
		require.NotContains(t, header, "\u200b")
	}
	require.NotContains(t, m.HTML, "<script")
	require.NotContains(t, m.Text, "\r")
	var long mail.Message
	require.Error(t, long.Write(mail.Letter{Brand: "B", Lines: []string{strings.Repeat("x", mail.MaxHTML)}, URL: "https://example.test"}))
}

// sink is a real mail server that keeps what it is given.
type sink struct {
	addr string
	mu   sync.Mutex
	got  []received
	// refuse answers a recipient; nil accepts all
	refuse func(to string) error
}

type received struct {
	from, to string
	raw      []byte
}

func listen(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }))
	server.Domain = "sink.test"
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = listener.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		if err := <-done; !errors.Is(err, smtp.ErrServerClosed) {
			require.NoError(t, err)
		}
	})
	return s
}

type session struct {
	sink *sink
	mail received
}

func (s *session) Reset()        { s.mail = received{} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.sink.refuse != nil {
		if err := s.sink.refuse(to); err != nil {
			return err
		}
	}
	s.mail.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.mail.raw = raw
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.got = append(s.sink.got, s.mail)
	return err
}

func message(t *testing.T) mail.Message {
	t.Helper()
	m := mail.Message{ID: "17.1772445600000000", To: "ada@example.test", ReplyTo: "nora@northwind.example", Date: time.Unix(1_772_445_600, 0).UTC()}
	require.NoError(t, m.Write(mail.Invitation{
		Brand: `Müller & "Söhne"`, Inviter: "nora@northwind.example", Place: "Acme Dental", URL: "https://northwind.example/invitations/t0k3n", Until: "Sun, Nov 29",
	}.Letter()))
	return m
}

// TestSMTPHandsOver sends a mail to a real server and reads what arrived.
func TestSMTPHandsOver(t *testing.T) {
	t.Parallel()
	s := listen(t)
	out, err := mail.NewSMTP("smtp://"+s.addr+"?tls=none", "credits@northwind.example")
	require.NoError(t, err)
	m := message(t)
	require.NoError(t, out.Send(t.Context(), m))
	require.NoError(t, out.Send(t.Context(), m))
	require.Len(t, s.got, 2)
	require.Equal(t, "credits@northwind.example", s.got[0].from)
	require.Equal(t, "ada@example.test", s.got[0].to)
	got, err := netmail.ReadMessage(bytes.NewReader(s.got[0].raw))
	require.NoError(t, err)
	from, err := got.Header.AddressList("From")
	require.NoError(t, err)
	require.Equal(t, []*netmail.Address{{Name: `Müller & "Söhne"`, Address: "credits@northwind.example"}}, from)
	require.Equal(t, "<nora@northwind.example>", got.Header.Get("Reply-To"))
	require.Equal(t, "<17.1772445600000000@northwind.example>", got.Header.Get("Message-ID"), "the same at every try")
	require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, m.Subject, subject)
	for name, values := range got.Header {
		require.NotRegexp(t, `(?i)refill|go-mail|wneessen`, name+": "+strings.Join(values, " "), "nothing tells what sent it")
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := map[string]string{}
	for r := multipart.NewReader(got.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", part.Header.Get("Content-Transfer-Encoding"))
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		parts[kind] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	require.Equal(t, strings.TrimSpace(m.Text), strings.TrimSpace(parts["text/plain"]))
	require.Equal(t, strings.TrimSpace(m.HTML), strings.TrimSpace(parts["text/html"]))
}

// TestSMTPTellsRefusalsFromTrouble is what decides whether a mail is tried again.
func TestSMTPTellsRefusalsFromTrouble(t *testing.T) {
	t.Parallel()
	s := listen(t)
	out, err := mail.NewSMTP("smtp://"+s.addr+"?tls=none", "credits@northwind.example")
	require.NoError(t, err)
	s.refuse = func(string) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here"}
	}
	require.ErrorIs(t, out.Send(t.Context(), message(t)), mail.ErrRefused)
	s.refuse = func(string) error {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	}
	err = out.Send(t.Context(), message(t))
	require.Error(t, err)
	require.NotErrorIs(t, err, mail.ErrRefused)
	require.NotErrorIs(t, err, mail.ErrUnreachable)
	require.Empty(t, s.got)

	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	out, err = mail.NewSMTP("smtp://"+closed.Addr().String()+"?tls=none", "credits@northwind.example")
	require.NoError(t, err)
	require.ErrorIs(t, out.Send(t.Context(), message(t)), mail.ErrUnreachable)

	// Without tls=none a server that offers no encryption gets nothing.
	out, err = mail.NewSMTP("smtp://"+s.addr, "credits@northwind.example")
	require.NoError(t, err)
	require.Error(t, out.Send(t.Context(), message(t)))
	require.Empty(t, s.got)
}

func TestServersThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ server, from string }{
		{"", "a@example.test"},
		{"mail.example.test:25", "a@example.test"},
		{"http://mail.example.test", "a@example.test"},
		{"smtp://mail.example.test?tls=none", "a@example.test"},
		{"smtp://mail.example.test?tls=maybe", "a@example.test"},
		{"smtp://mail.example.test", ""},
		{"smtp://mail.example.test", "Somebody <a@example.test>"},
	} {
		_, err := mail.NewSMTP(c.server, c.from)
		require.Error(t, err, "%s %s", c.server, c.from)
	}
	_, err := mail.NewSMTP("smtp://user:hunter2@", "a@example.test")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	for _, server := range []string{"smtp://user:pass@mail.example.test:587", "smtps://mail.example.test", "smtp://localhost:25?tls=none"} {
		_, err := mail.NewSMTP(server, "a@example.test")
		require.NoError(t, err, server)
	}
}
