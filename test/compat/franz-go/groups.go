package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer of a group that reads all the time, and what has happened to it.
type member struct {
	client *kgo.Client
	mutex  sync.Mutex
	// Which partitions it has, which it was given and which were taken, in the order of the calls.
	own    []int32
	events []string
	read   []string
}

// join starts a member of the group; `changed` hears of everything that happens to it.
func (w world) join(group, topic string, changed chan<- struct{}, options ...kgo.Opt) *member {
	m := &member{}
	happened := func(what string, partitions map[string][]int32) {
		if len(partitions[topic]) == 0 {
			return
		}
		m.mutex.Lock()
		defer m.mutex.Unlock()
		given := slices.Sorted(slices.Values(partitions[topic]))
		m.events = append(m.events, what+" "+strings.Trim(strings.ReplaceAll(fmt.Sprint(given), " ", ","), "[]"))
		if what == "assigned" {
			m.own = slices.Sorted(slices.Values(append(m.own, given...)))
		} else {
			m.own = slices.DeleteFunc(m.own, func(each int32) bool { return slices.Contains(given, each) })
		}
		notify(changed)
	}
	call := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { happened(what, partitions) }
	}
	m.client = w.newClient(append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(100 * time.Millisecond),
		kgo.SessionTimeout(10 * time.Second), kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(call("assigned")), kgo.OnPartitionsRevoked(call("revoked")),
		kgo.OnPartitionsLost(call("lost")),
	}, options...)...)
	go func() {
		for {
			fetches := m.client.PollFetches(w.context)
			if fetches.IsClientClosed() || w.context.Err() != nil {
				return
			}
			records := fetches.Records()
			if len(records) == 0 {
				continue
			}
			must(0, m.client.CommitRecords(w.context, records...))
			m.mutex.Lock()
			for _, record := range records {
				m.read = append(m.read, fmt.Sprintf("%d:%s", record.Partition, record.Value))
			}
			m.mutex.Unlock()
			notify(changed)
		}
	}()
	return m
}

func notify(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// snapshot is what the member has, what has happened to it and what it has read, sorted.
func (m *member) snapshot() facts {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return facts{
		"own":    slices.Clone(m.own),
		"events": slices.Clone(m.events),
		"read":   slices.Sorted(slices.Values(m.read)),
	}
}

func (m *member) count() (partitions, records int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.own), len(m.read)
}

// settled says whether each has as many partitions, in one and the same generation.
func settled(partitions int, members ...*member) func() bool {
	return func() bool {
		generations := map[int32]bool{}
		for _, each := range members {
			_, generation := each.client.GroupMetadata()
			generations[generation] = true
			if own, _ := each.count(); own != partitions {
				return false
			}
		}
		return len(generations) == 1
	}
}

// until waits for what the condition asks; of a new generation nobody is told, so it looks again by itself.
func (w world) until(changed <-chan struct{}, what string, holds func() bool) {
	for !holds() {
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		case <-w.context.Done():
			panic("not in time: " + what)
		}
	}
}

// fill sends one record with the value to each partition.
func (w world) fill(topic string, partitions int32, value string) {
	for partition := range partitions {
		w.produce(&kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)})
	}
}

// committed is the group's offset of each of the topic's partitions.
func (w world) committed(group, topic string) map[int32]int64 {
	offsets := map[int32]int64{}
	for partition, each := range must(w.admin.FetchOffsets(w.context, group))[topic] {
		must(0, each.Err)
		offsets[partition] = each.At
	}
	return offsets
}

// described is the group's state, protocol and each member's instance id, client id and partitions.
func (w world) described(group string) facts {
	found := must(w.admin.DescribeGroups(w.context, group))[group]
	members := []string{}
	for _, each := range found.Members {
		instance := "-"
		if each.InstanceID != nil {
			instance = *each.InstanceID
		}
		share := []string{}
		if assignment, ok := each.Assigned.AsConsumer(); ok {
			for _, topic := range assignment.Topics {
				share = append(share, fmt.Sprint(topic.Topic, slices.Sorted(slices.Values(topic.Partitions))))
			}
		}
		members = append(members, fmt.Sprint(instance, " ", each.ClientID, " ", strings.Join(share, " ")))
	}
	return facts{
		"state": found.State, "protocol": found.Protocol, "type": found.ProtocolType,
		"members": sorted(members, strings.Compare), "error": name(found.Err),
	}
}

// Two members of a cooperative group: one has all, then they share, then the other has all.
func membersScenario(w world) facts {
	found := facts{}
	w.createTopic("shared", 4)
	w.fill("shared", 4, "a")
	changed := make(chan struct{}, 1)
	cooperative := kgo.Balancers(kgo.CooperativeStickyBalancer())
	first := w.join("sharers", "shared", changed, cooperative)
	w.until(changed, "the first reads all", func() bool { _, records := first.count(); return records == 4 })
	found["alone"] = first.snapshot()

	second := w.join("sharers", "shared", changed, cooperative)
	w.until(changed, "they share", settled(2, first, second))
	w.fill("shared", 4, "b")
	w.until(changed, "each reads its own", func() bool {
		_, ofFirst := first.count()
		_, ofSecond := second.count()
		return ofFirst == 6 && ofSecond == 2
	})
	found["firstOfTwo"], found["secondOfTwo"] = first.snapshot(), second.snapshot()
	found["described"] = w.described("sharers")

	first.client.Close()
	w.until(changed, "the second has all", settled(4, second))
	w.fill("shared", 4, "c")
	w.until(changed, "the second reads all", func() bool { _, records := second.count(); return records == 6 })
	found["left"] = second.snapshot()
	second.client.Close()
	found["committed"] = w.committed("sharers", "shared")
	found["afterwards"] = w.described("sharers")
	return found
}

// A static member that comes back has its partitions, and nobody else hears of it.
func staticScenario(w world) facts {
	found := facts{}
	w.createTopic("settled", 4)
	changed := make(chan struct{}, 1)
	join := func(instance string) *member {
		return w.join("settlers", "settled", changed, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID(instance))
	}
	first := join("one")
	w.until(changed, "the first has all", settled(4, first))
	second := join("two")
	w.until(changed, "they share", settled(2, first, second))
	found["together"] = w.described("settlers")
	eventsOfFirst := len(first.snapshot()["events"].([]string))

	found["second"] = second.snapshot()["own"]
	// A static member that closes does not leave.
	second.client.Close()
	found["away"] = w.described("settlers")
	back := join("two")
	w.until(changed, "the second is back", settled(2, first, back))
	found["back"] = back.snapshot()["own"]
	w.fill("settled", 4, "x")
	w.until(changed, "both read", func() bool {
		_, ofFirst := first.count()
		_, ofBack := back.count()
		return ofFirst == 2 && ofBack == 2
	})
	found["firstHeardOfIt"] = len(first.snapshot()["events"].([]string)) != eventsOfFirst

	back.client.Close()
	removed := []string{}
	request := kadm.LeaveGroup("settlers").Reason("it is gone").InstanceIDs("two", "three")
	for _, each := range must(w.admin.LeaveGroup(w.context, request)).Sorted() {
		removed = append(removed, strings.TrimSpace(each.InstanceID+" "+name(each.Err)))
	}
	found["removed"] = removed
	w.until(changed, "the first has all again", settled(4, first))
	found["alone"] = w.described("settlers")
	first.client.Close()
	return found
}

// The offsets and the life of groups without members.
func groupsScenario(w world) facts {
	found := facts{}
	w.createTopic("lagging", 2)
	for _, value := range []string{"a", "b", "c"} {
		w.fill("lagging", 2, value)
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "lagging", Partition: 0, At: 1, LeaderEpoch: 0, Metadata: "noted"})
	offsets.Add(kadm.Offset{Topic: "lagging", Partition: 1, At: 3, LeaderEpoch: -1})
	must(0, must(w.admin.CommitOffsets(w.context, "quiet", offsets)).Error())
	found["committed"] = w.committed("quiet", "lagging")
	topic := must(w.admin.ListTopics(w.context, "lagging"))["lagging"]
	first := must(w.admin.FetchOffsetsForTopics(w.context, "quiet", "lagging"))["lagging"][0]
	found["metadata"], found["epoch"] = first.Metadata, first.LeaderEpoch
	found["unknownGroup"] = w.committed("never-seen", "lagging")

	// By topic id, in the newest versions.
	byId := kadm.OffsetsByID{}
	byId.Add(kadm.Offset{TopicID: topic.ID, Partition: 1, At: 2, LeaderEpoch: -1})
	must(0, must(w.admin.CommitOffsetsByID(w.context, "quiet", byId)).Error())
	found["committedById"] = w.committed("quiet", "lagging")
	fetchedById := map[int32]int64{}
	for partition, each := range must(w.admin.FetchOffsetsByID(w.context, "quiet"))[topic.ID] {
		fetchedById[partition] = each.At
	}
	found["fetchedById"] = fetchedById

	lags := map[int32]int64{}
	lag := must(w.admin.Lag(w.context, "quiet"))["quiet"]
	for partition, each := range lag.Lag["lagging"] {
		must(0, each.Err)
		lags[partition] = each.Lag
	}
	found["lag"], found["lagState"], found["total"] = lags, lag.State, lag.Lag.Total()

	changed := make(chan struct{}, 1)
	busy := w.join("busy", "lagging", changed)
	w.until(changed, "it has read all", func() bool { _, records := busy.count(); return records == 6 })
	listed := func(groups kadm.ListedGroups, err error) []string {
		must(0, err)
		all := []string{}
		for _, each := range groups.Sorted() {
			all = append(all, fmt.Sprint(each.Group, " ", each.State, " ", each.ProtocolType))
		}
		return all
	}
	found["listed"] = listed(w.admin.ListGroups(w.context))
	found["empty"] = listed(w.admin.ListGroups(w.context, "Empty"))
	found["classic"] = listed(w.admin.ListGroupsByType(w.context, []string{"classic"}, "Stable"))
	found["consumer"] = listed(w.admin.ListGroupsByType(w.context, []string{"consumer"}))
	found["nobody"] = w.described("nobody")

	deletedOffsets := func(group string) map[int32]string {
		partitions := kadm.TopicsSet{}
		partitions.Add("lagging", 0)
		all := map[int32]string{}
		for partition, err := range must(w.admin.DeleteOffsets(w.context, group, partitions))["lagging"] {
			all[partition] = name(err)
		}
		return all
	}
	found["offsetsInUse"] = deletedOffsets("busy")
	found["offsetsDeleted"] = deletedOffsets("quiet")
	found["offsetsLeft"] = w.committed("quiet", "lagging")
	deleted := map[string]string{}
	for _, each := range must(w.admin.DeleteGroups(w.context, "quiet", "busy", "nobody")).Sorted() {
		deleted[each.Group] = name(each.Err)
	}
	found["deleted"] = deleted
	busy.client.Close()
	found["left"] = listed(w.admin.ListGroups(w.context))
	return found
}
