package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"log"
	"net"

	"golang.org/x/net/http2"
)

// Header blocks by hand (RFC 7541, 6.2.2: literals that are not indexed), so they are right whatever the table's size.
var (
	answerHead  = append([]byte{0x88}, literal("content-type", "application/grpc")...) // 0x88 is :status 200
	okTrailers  = literal("grpc-status", "0")
	badTrailers = append(literal("grpc-status", "15"), literal("grpc-message", "the request arrived changed")...)
)

func literal(name, value string) []byte {
	field := append([]byte{0, byte(len(name))}, name...)
	return append(append(field, byte(len(value))), value...)
}

// serveGRPC answers every call by hand, as serveREST does: grpc-go's server costs three times as much, and that
// would leave the load's core as the bottleneck. It doesn't look at request headers.
func serveGRPC(listener net.Listener, request, answer []byte) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer socket.Close()
			newConnection(socket, framed(request), framed(answer)).serve()
		}()
	}
}

// framed puts gRPC's prefix before a message: not compressed, its length.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

const (
	maxWindow = 1 << 30
	preface   = len(http2.ClientPreface)
)

type connection struct {
	reader          *bufio.Reader
	writer          *bufio.Writer
	framer          *http2.Framer
	request, answer []byte
	bodies          map[uint32][]byte
	received        uint32   // bytes of DATA that no credit was given back for
	window          int      // bytes of DATA that the peer lets us send
	waiting         []uint32 // streams whose answer awaits window
	resize          bool     // the next block must tell the table's size (RFC 7541, 4.2)
}

func newConnection(socket net.Conn, request, answer []byte) *connection {
	reader, writer := bufio.NewReaderSize(socket, 64<<10), bufio.NewWriterSize(socket, 64<<10)
	framer := http2.NewFramer(writer, reader)
	framer.SetReuseFrames()
	return &connection{
		reader: reader, writer: writer, framer: framer, request: request, answer: answer,
		bodies: map[uint32][]byte{}, window: 65_535,
	}
}

// serve goes on until the peer closes or breaks the connection.
func (c *connection) serve() {
	if _, err := c.reader.Discard(preface); err != nil {
		return
	}
	// A block is not decoded and so changes no table here: the peer is told that there is none.
	_ = c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	_ = c.framer.WriteWindowUpdate(0, maxWindow)
	for {
		if c.reader.Buffered() == 0 && c.writer.Flush() != nil {
			return
		}
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.take(frame)
	}
}

// take acts on one frame. Errors of writing show at the next Flush.
func (c *connection) take(frame http2.Frame) {
	switch frame := frame.(type) {
	case *http2.DataFrame:
		c.data(frame)
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			_ = c.framer.WriteSettingsAck()
			c.resize = true
		}
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.window += int(frame.Increment)
			waiting := c.waiting
			c.waiting = nil
			for _, stream := range waiting {
				c.reply(stream)
			}
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			_ = c.framer.WritePing(true, frame.Data)
		}
	case *http2.RSTStreamFrame:
		delete(c.bodies, frame.StreamID)
	}
}

func (c *connection) data(frame *http2.DataFrame) {
	if c.received += frame.Length; c.received > maxWindow/2 {
		_ = c.framer.WriteWindowUpdate(0, c.received)
		c.received = 0
	}
	body := frame.Data()
	if earlier, begun := c.bodies[frame.StreamID]; begun || !frame.StreamEnded() {
		body = append(earlier, body...)
		c.bodies[frame.StreamID] = body
	}
	if !frame.StreamEnded() {
		return
	}
	delete(c.bodies, frame.StreamID)
	if bytes.Equal(body, c.request) {
		c.reply(frame.StreamID)
		return
	}
	c.headers(frame.StreamID, answerHead, false)
	c.headers(frame.StreamID, badTrailers, true)
}

func (c *connection) reply(stream uint32) {
	if c.window < len(c.answer) {
		c.waiting = append(c.waiting, stream)
		return
	}
	c.window -= len(c.answer)
	c.headers(stream, answerHead, false)
	_ = c.framer.WriteData(stream, false, c.answer)
	c.headers(stream, okTrailers, true)
}

func (c *connection) headers(stream uint32, block []byte, end bool) {
	if c.resize {
		block = append([]byte{0x20}, block...)
		c.resize = false
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: end,
	})
}
