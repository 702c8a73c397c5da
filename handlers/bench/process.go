package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"refill/models"
)

// process is the portal as an operator runs it.
type process struct {
	address string      // host:port
	ready   models.Time // from exec to the first ready answer
	cmd     *exec.Cmd
	ended   chan error
	log     *lastWords
}

// startProcess runs the binary on a free port and waits until it is ready.
func startProcess(ctx context.Context, clock models.Clock, binary string, args, env []string) (*process, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{address: l.Addr().String(), ended: make(chan error, 1), log: &lastWords{}}
	if err := l.Close(); err != nil {
		return nil, err
	}
	args = append(args, "--addr", p.address, "--base-url", "http://"+p.address)
	p.cmd = exec.CommandContext(ctx, binary, args...) //nolint:gosec // ourselves
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.log, p.log
	began := clock.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	limit := began.Add(time.Minute)
	beat := time.NewTicker(time.Millisecond)
	defer beat.Stop()
	for {
		if isReady(ctx, p.address) {
			p.ready = clock.Now() - began
			return p, nil
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("the portal ended: %w: %s", err, p.log)
		case <-beat.C:
		}
		if clock.Now() > limit {
			return nil, errors.Join(fmt.Errorf("the portal was not ready within a minute: %s", p.log), p.stop())
		}
	}
}

func isReady(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// stop drains the process.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := <-p.ended; err != nil {
		return fmt.Errorf("the portal ended: %w: %s", err, p.log)
	}
	return nil
}

// resident is the process's memory in MB.
func (p *process) resident() (float64, error) {
	body, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	found := rssLine.FindSubmatch(body)
	if found == nil {
		return 0, errors.New("the system does not tell a process's memory")
	}
	kb, err := strconv.ParseFloat(string(found[1]), 64)
	return kb / 1024, err
}

var rssLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB`)

// lastWords keeps the end of what a process says.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

func (t *lastWords) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(b), nil
}

func (t *lastWords) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}

// reader is a signed-in browser.
type reader struct {
	client *http.Client
	base   *url.URL
}

var (
	tokenField = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)
	olderLink  = regexp.MustCompile(`href="(/history\?[^"]*cursor=[^"]+)"`)
)

// signIn goes through the form as a browser would.
func (g *grown) signIn(email string) (*reader, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	r := &reader{client: &http.Client{Jar: jar}, base: &url.URL{Scheme: "http", Host: g.server.address}}
	form, err := r.get("/sign-in")
	if err != nil {
		return nil, err
	}
	token := tokenField.FindStringSubmatch(form)
	if token == nil {
		return nil, errors.New("the sign-in page has no token")
	}
	res, err := r.client.PostForm(r.base.JoinPath("sign-in").String(), //nolint:noctx // loopback
		url.Values{"csrf_token": {token[1]}, "email": {email}, "password": {growPassword}})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.Request.URL.Path == "/sign-in" {
		return nil, fmt.Errorf("sign in as %s: %s at %s: %.300s", email, res.Status, res.Request.URL, body)
	}
	return r, nil
}

func (r *reader) get(path string) (string, error) {
	res, err := r.client.Get("http://" + r.base.Host + path) //nolint:noctx // loopback
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", path, res.Status)
	}
	return string(body), nil
}

// head are the header lines a browser sends with every request.
func (r *reader) head() string {
	var pairs []string
	for _, c := range r.client.Jar.Cookies(r.base) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(pairs, "; ") + "\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n"
}

// older is the address of the page behind the first one of lines until a day.
func (r *reader) older(day string) (string, error) {
	body, err := r.get("/history?to=" + day)
	if err != nil {
		return "", err
	}
	link := olderLink.FindStringSubmatch(body)
	if link == nil {
		return "", fmt.Errorf("the history until %s has no second page", day)
	}
	return strings.ReplaceAll(link[1], "&amp;", "&"), nil
}
