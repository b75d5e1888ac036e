// Upstream stands in for two model servers, v1 and v2, each with a REST and a gRPC port on 127.0.0.1.
//
// It knows one request and answers it with fixed bytes, so that it outruns any proxy before it. A request that
// arrived changed is refused: the bench then counts an error. It prints its ports as one line of JSON, and ends
// when its standard input does.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
)

type ports struct {
	Rest int `json:"rest"`
	Grpc int `json:"grpc"`
}

func main() {
	folder := flag.String("folder", "", "holds request.json, request.pb and, for v1 and v2, v1.json, v1.pb, …")
	flag.Parse()
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(*folder, name))
		if err != nil {
			log.Fatal(err)
		}
		return content
	}
	served := map[string]ports{}
	for _, version := range []string{"v1", "v2"} {
		rest, grpc := listen(), listen()
		go serveREST(rest, read("request.json"), read(version+".json"))
		go serveGRPC(grpc, read("request.pb"), read(version+".pb"))
		served[version] = ports{port(rest), port(grpc)}
	}
	if err := json.NewEncoder(os.Stdout).Encode(served); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }
