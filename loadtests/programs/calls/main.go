// Calls sends one gRPC request over and over, in a closed loop, checks each answer, and prints what it saw as JSON.
//
// Each call has a deadline of its own, so grpc-timeout differs from call to call as it does with real clients: a
// proxy can't live off a cache of whole header blocks.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"turnout.dev/loadtests/raw"
)

// seen is what one loop saw, then what all did.
type seen struct {
	Requests int            `json:"requests"`
	Seconds  float64        `json:"seconds"`
	P50      float64        `json:"p50_us"`
	P99      float64        `json:"p99_us"`
	Versions map[string]int `json:"versions"`
	Wrong    int            `json:"wrong"`
	Errors   map[string]int `json:"errors"`
	took     []time.Duration
}

func newSeen() seen { return seen{Versions: map[string]int{}, Errors: map[string]int{}} }

func main() {
	address := flag.String("address", "", "host:port")
	folder := flag.String("folder", "", "holds request.pb, v1.pb and v2.pb")
	connections := flag.Int("connections", 4, "connections")
	streams := flag.Int("streams", 8, "calls at once on each connection")
	duration := flag.Duration("duration", 5*time.Second, "how long calls are begun")
	flag.Parse()

	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(*folder, name))
		if err != nil {
			log.Fatal(err)
		}
		return content
	}
	request := read("request.pb")
	answers := map[string][]byte{"v1": read("v1.pb"), "v2": read("v2.pb")}

	var wait sync.WaitGroup
	loops := make([]seen, *connections**streams)
	begun := time.Now()
	for c := range *connections {
		client, err := grpc.NewClient("passthrough:///"+*address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw.Codec{})))
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		for s := range *streams {
			wait.Go(func() { loops[c**streams+s] = loop(client, request, answers, begun.Add(*duration)) })
		}
	}
	wait.Wait()
	all := gather(loops)
	all.Seconds = time.Since(begun).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		log.Fatal(err)
	}
}

func loop(client *grpc.ClientConn, request []byte, answers map[string][]byte, until time.Time) seen {
	saw := newSeen()
	for time.Now().Before(until) {
		timeout := 5*time.Second + rand.N(5*time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		var answer []byte
		var header metadata.MD
		begun := time.Now()
		err := client.Invoke(ctx, raw.Predict, &request, &answer, grpc.Header(&header))
		took := time.Since(begun)
		cancel()
		if err != nil {
			state := status.Convert(err)
			saw.Errors[state.Code().String()+": "+state.Message()]++
			time.Sleep(time.Millisecond) // a proxy that is gone fails at once: don't spin on it
			continue
		}
		saw.Requests++
		saw.took = append(saw.took, took)
		version := ""
		if values := header.Get("x-turnout-version"); len(values) > 0 {
			version = values[0]
		}
		saw.Versions[version]++
		expected, named := answers[version]
		if !named && version == "" { // sent straight to v1
			expected = answers["v1"]
		}
		if !bytes.Equal(answer, expected) {
			saw.Wrong++
		}
	}
	return saw
}

func gather(loops []seen) seen {
	all := newSeen()
	for _, saw := range loops {
		all.Requests += saw.Requests
		all.Wrong += saw.Wrong
		all.took = append(all.took, saw.took...)
		for version, n := range saw.Versions {
			all.Versions[version] += n
		}
		for message, n := range saw.Errors {
			all.Errors[message] += n
		}
	}
	if len(all.took) > 0 {
		slices.Sort(all.took)
		at := func(share float64) float64 {
			return float64(all.took[int(share*float64(len(all.took)-1))].Nanoseconds()) / 1000
		}
		all.P50, all.P99 = at(0.50), at(0.99)
	}
	return all
}
