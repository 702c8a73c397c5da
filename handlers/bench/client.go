package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
)

// client is one HTTP/1.1 connection that is kept open, and nothing more: the
// load shares the machine with the server, so what net/http's client does for
// comfort would be measured too.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	head []byte // the header lines that all requests share
}

func dial(address, apiKey string) (*client, error) {
	return dialAs(address, "Authorization: Bearer "+apiKey+"\r\nContent-Type: application/json\r\n")
}

// dialAs connects for requests that share these header lines.
func dialAs(address, head string) (*client, error) {
	conn, err := net.Dial("tcp", address) //nolint:noctx // loopback
	if err != nil {
		return nil, err
	}
	return &client{
		conn: conn, in: bufio.NewReaderSize(conn, 16<<10),
		head: []byte("\r\nHost: " + address + "\r\n" + head),
	}, nil
}

// do sends one request and returns the answer's body, which is valid until the
// next. A status other than want is an error.
func (c *client) do(method, path, key string, body []byte, want int) ([]byte, error) {
	c.out = append(append(append(append(c.out[:0], method...), ' '), path...), " HTTP/1.1"...)
	c.out = append(c.out, c.head...)
	if key != "" {
		c.out = append(append(append(c.out, "Idempotency-Key: "...), key...), '\r', '\n')
	}
	c.out = append(c.out, "Content-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, err
	}
	status, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status != want {
		return nil, fmt.Errorf("%s %s answered %d: %.300s", method, path, status, c.body)
	}
	return c.body, nil
}

// read takes one answer off the connection into c.body.
func (c *client) read() (status int, err error) {
	first, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(first) < len("HTTP/1.1 200") {
		return 0, errors.New("not an HTTP answer")
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, err
	}
	length, chunked := 0, false
	for {
		text, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, found := bytes.Cut(bytes.TrimRight(text, "\r\n"), []byte(": "))
		switch {
		case len(name) == 0:
			return status, c.readBody(length, chunked)
		case !found:
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
}

func (c *client) readBody(length int, chunked bool) error {
	if !chunked {
		if cap(c.body) < length {
			c.body = make([]byte, length)
		}
		c.body = c.body[:length]
		_, err := io.ReadFull(c.in, c.body)
		return err
	}
	var err error
	if c.body, err = io.ReadAll(httputil.NewChunkedReader(c.in)); err != nil {
		return err
	}
	_, err = c.in.ReadSlice('\n') // the empty line behind the last chunk
	return err
}
