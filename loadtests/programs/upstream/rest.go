package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"net"
	"strconv"
)

// serveREST answers HTTP/1.1 by hand: net/http alone costs more than the proxies that are to be measured.
func serveREST(listener net.Listener, request, answer []byte) {
	ok := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", len(answer), answer)
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			reader := bufio.NewReaderSize(connection, 64<<10)
			for {
				body, err := readBody(reader)
				if err != nil {
					return
				}
				if !bytes.Equal(body, request) {
					_, _ = connection.Write([]byte("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
					return
				}
				if _, err := connection.Write(ok); err != nil {
					return
				}
			}
		}()
	}
}

// readBody reads one request and returns its body, which is valid until the next read; nil where its length is not told.
func readBody(reader *bufio.Reader) ([]byte, error) {
	length := 0
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	body, err := reader.Peek(length)
	if err != nil {
		return nil, err
	}
	_, err = reader.Discard(length)
	return body, err
}
