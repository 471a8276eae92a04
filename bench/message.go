package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
)

// bufferSize holds the head of any message that is exchanged here, and most
// messages whole, so that one is read with one system call.
const bufferSize = 16 << 10

// maxBody bounds what is read of a message.
const maxBody = 8 << 20

// message is an HTTP/1.1 request or response, of which only that is read which
// the sink and the drive need. Both share the machine with the server that is
// measured; net/http takes several times as long. It is read into again and
// again, and keeps its buffers.
type message struct {
	first                    []byte // the first line
	id, timestamp, signature []byte // the headers of the signature
	body                     []byte
	close                    bool // no other message follows
}

// read reads the next message. It gives io.EOF if the connection ended before one.
func (m *message) read(r *bufio.Reader) error {
	*m = message{first: m.first[:0], id: m.id[:0], timestamp: m.timestamp[:0], signature: m.signature[:0], body: m.body[:0]}
	line, err := readLine(r)
	if err != nil {
		return err
	}
	m.first = append(m.first, line...)
	length, chunked, err := m.readHead(r)
	if err != nil {
		return unexpected(err)
	}
	if chunked {
		return m.readChunks(r)
	}
	if length > maxBody {
		return fmt.Errorf("a body of %d bytes; expected at most %d", length, maxBody)
	}
	if cap(m.body) < length {
		m.body = make([]byte, length)
	}
	m.body = m.body[:length]
	_, err = io.ReadFull(r, m.body)
	return unexpected(err)
}

func (m *message) readHead(r *bufio.Reader) (length int, chunked bool, err error) {
	for {
		line, err := readLine(r)
		if err != nil || len(line) == 0 {
			return length, chunked, err
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found {
			return 0, false, fmt.Errorf("the header line %q has no colon", line)
		}
		value = bytes.TrimSpace(value)
		is := func(header string) bool { return bytes.EqualFold(name, []byte(header)) }
		switch len(name) {
		case len("content-length"):
			if is("content-length") {
				if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
					return 0, false, fmt.Errorf("content-length is %q", value)
				}
			}
		case len("webhook-id"): // connection has as many letters
			if is("webhook-id") {
				m.id = append(m.id, value...)
			} else if is("connection") {
				m.close = bytes.EqualFold(value, []byte("close"))
			}
		case len("webhook-timestamp"): // so have webhook-signature and transfer-encoding
			switch {
			case is("webhook-timestamp"):
				m.timestamp = append(m.timestamp, value...)
			case is("webhook-signature"):
				m.signature = append(m.signature, value...)
			case is("transfer-encoding"):
				chunked = bytes.EqualFold(value, []byte("chunked"))
			}
		}
	}
}

func (m *message) readChunks(r *bufio.Reader) error {
	body := bytes.NewBuffer(m.body)
	n, err := io.Copy(body, io.LimitReader(httputil.NewChunkedReader(r), maxBody+1))
	m.body = body.Bytes()
	if err != nil {
		return unexpected(err)
	}
	if n > maxBody {
		return fmt.Errorf("a body of more than %d bytes", maxBody)
	}
	for { // trailers, up to the empty line
		line, err := readLine(r)
		if err != nil || len(line) == 0 {
			return unexpected(err)
		}
	}
}

// status is the status of a response.
func (m *message) status() (int, error) {
	version, rest, _ := bytes.Cut(m.first, []byte{' '})
	code, _, _ := bytes.Cut(rest, []byte{' '})
	status, err := strconv.Atoi(string(code))
	if err != nil || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return 0, fmt.Errorf("%q is no status line", m.first)
	}
	return status, nil
}

// path is the path of a request, with its query.
func (m *message) path() []byte {
	_, rest, _ := bytes.Cut(m.first, []byte{' '})
	path, _, _ := bytes.Cut(rest, []byte{' '})
	return path
}

// readLine gives a line without its end. It is good until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}

// unexpected is err, but for an end in the middle of a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
