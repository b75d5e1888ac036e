// Package raw passes gRPC messages as the bytes they are: neither end of the bench has to understand them.
package raw

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// Predict is the method that the bench calls.
const Predict = "/tensorflow.serving.PredictionService/Predict"

// Codec marshals and unmarshals *[]byte by copying.
type Codec struct{}

// Name is what content-type carries after "application/grpc+".
func (Codec) Name() string { return "proto" }

// Marshal takes a *[]byte that is not changed while the call lasts.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("raw.Codec can't marshal %T: give a *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*message)}, nil
}

// Unmarshal fills a *[]byte.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("raw.Codec can't unmarshal into %T: give a *[]byte", v)
	}
	*message = data.Materialize()
	return nil
}
