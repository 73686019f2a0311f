// Drives one node with franz-go and its admin client: compat BOOTSTRAP SCENARIO DIRECTORY...
//
// Does what the scenario says and prints, as one JSON object, what came of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type facts map[string]any

// world is what every scenario has: the broker's address and log directories, and an admin client.
type world struct {
	context     context.Context
	bootstrap   string
	directories []string
	client      *kgo.Client
	admin       *kadm.Client
}

var scenarios = map[string]func(world) facts{
	"cluster":     clusterScenario,
	"topics":      topicsScenario,
	"configs":     configsScenario,
	"records":     recordsScenario,
	"offsets":     offsetsScenario,
	"directories": directoriesScenario,
	"members":     membersScenario,
	"static":      staticScenario,
	"groups":      groupsScenario,
	"unserved":    unservedScenario,
}

func main() {
	// With these, the admin client asks the node each time, and does not look into what it remembers.
	asking := kadm.WithAuthorizedOps(context.Background())
	// Whatever it waits for, it does not wait for ever.
	ctx, cancel := context.WithTimeout(asking, time.Minute)
	defer cancel()
	w := world{context: ctx, bootstrap: os.Args[1], directories: os.Args[3:]}
	w.client = w.newClient()
	defer w.client.Close()
	w.admin = kadm.NewClient(w.client)
	found := scenarios[os.Args[2]](w)
	must(0, json.NewEncoder(os.Stdout).Encode(found))
}

func (w world) newClient(options ...kgo.Opt) *kgo.Client {
	own := []kgo.Opt{kgo.SeedBrokers(w.bootstrap), kgo.ClientID("franz")}
	return must(kgo.NewClient(append(own, options...)...))
}

func (w world) createTopic(name string, partitions int32) {
	response := must(w.admin.CreateTopic(w.context, partitions, 1, nil, name))
	must(0, response.Err)
}

// produce sends the records and waits for every acknowledgement.
func (w world) produce(records ...*kgo.Record) {
	producer := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	must(0, producer.ProduceSync(w.context, records...).FirstErr())
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%+v\n", err)
		panic(err)
	}
	return value
}

// name is the error's name in the protocol's table, its text when it has none, "" for no error.
func name(err error) string {
	var known *kerr.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known):
		return known.Message
	default:
		return err.Error()
	}
}

func sorted[T any](values []T, less func(a, b T) int) []T {
	slices.SortFunc(values, less)
	return values
}
