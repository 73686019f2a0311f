package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const perCodec = 100

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

// Sends records in every compression to two partitions, idempotent, and reads all of them back.
func recordsScenario(w world) facts {
	w.createTopic("records", 2)
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	sent := [][]int64{}
	for _, each := range codecs {
		producer := w.newClient(
			kgo.ProducerBatchCompression(each.codec),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
		)
		records := []*kgo.Record{}
		for n := range perCodec {
			record := &kgo.Record{
				Topic: "records", Partition: int32(n % 2),
				Key:   []byte(each.name + "-" + strconv.Itoa(n)),
				Value: []byte(strings.Repeat("ab", n)),
				Headers: []kgo.RecordHeader{
					{Key: "codec", Value: []byte(each.name)}, {Key: "number", Value: []byte(strconv.Itoa(n))},
				},
				Timestamp: start.Add(time.Duration(n) * time.Millisecond),
			}
			if n == perCodec-1 {
				record.Value = nil
			}
			records = append(records, record)
		}
		for _, result := range producer.ProduceSync(w.context, records...) {
			must(0, result.Err)
			sent = append(sent, []int64{int64(result.Record.Partition), result.Record.Offset})
		}
		producer.Close()
	}
	consumer := w.newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		"records": {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart()},
	}))
	defer consumer.Close()
	read := []facts{}
	for len(read) < len(sent) {
		fetches := consumer.PollFetches(w.context)
		must(0, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			headers := [][]string{}
			for _, header := range record.Headers {
				headers = append(headers, []string{header.Key, string(header.Value)})
			}
			var value any
			if record.Value != nil {
				value = string(record.Value)
			}
			read = append(read, facts{
				"place": []int64{int64(record.Partition), record.Offset}, "key": string(record.Key), "value": value,
				"headers": headers, "afterMs": record.Timestamp.Sub(start).Milliseconds(), "leaderEpoch": record.LeaderEpoch,
			})
		})
	}
	return facts{"sent": sent, "read": read}
}

// Asks for offsets by every special time, and deletes records.
func offsetsScenario(w world) facts {
	found := facts{}
	w.createTopic("timed", 2)
	start := time.Now().Add(-time.Minute).UnixMilli()
	// The third is the latest of all.
	for _, after := range []int64{0, 10, 50, 30, 40} {
		w.produce(&kgo.Record{Topic: "timed", Partition: 0, Value: []byte("x"), Timestamp: time.UnixMilli(start + after)})
	}
	listed := func(offsets kadm.ListedOffsets, err error) []facts {
		must(0, err)
		all := make([]facts, 2)
		offsets.Each(func(each kadm.ListedOffset) {
			after := each.Timestamp
			if after > 0 {
				after -= start
			}
			all[each.Partition] = facts{
				"offset": each.Offset, "after": after, "leaderEpoch": each.LeaderEpoch, "error": name(each.Err),
			}
		})
		return all
	}
	found["start"] = listed(w.admin.ListStartOffsets(w.context, "timed"))
	found["end"] = listed(w.admin.ListEndOffsets(w.context, "timed"))
	found["stable"] = listed(w.admin.ListCommittedOffsets(w.context, "timed"))
	found["local"] = listed(w.admin.ListLocalLogStartOffsets(w.context, "timed"))
	found["remote"] = listed(w.admin.ListLatestRemoteOffsets(w.context, "timed"))
	found["latestTime"] = listed(w.admin.ListMaxTimestampOffsets(w.context, "timed"))
	found["after5"] = listed(w.admin.ListOffsetsAfterMilli(w.context, start+5, "timed"))

	epochs := func(epoch int32) map[string]any {
		request := kadm.OffsetForLeaderEpochRequest{}
		request.Add("timed", 0, epoch)
		answer := must(w.admin.OffsetForLeaderEpoch(w.context, request))["timed"][0]
		return facts{"epoch": answer.LeaderEpoch, "end": answer.EndOffset, "error": name(answer.Err)}
	}
	found["epoch0"] = epochs(0)
	found["epoch7"] = epochs(7)

	deleted := func(offset int64) facts {
		request := kadm.Offsets{}
		request.AddOffset("timed", 0, offset, -1)
		response := must(w.admin.DeleteRecords(w.context, request))["timed"][0]
		return facts{"start": response.LowWatermark, "error": name(response.Err)}
	}
	found["deleted"] = deleted(2)
	found["startAfter"] = listed(w.admin.ListStartOffsets(w.context, "timed"))
	found["beyond"] = deleted(9)
	found["deletedAll"] = deleted(-1)
	found["emptied"] = listed(w.admin.ListStartOffsets(w.context, "timed"))
	return found
}

// Moves a partition to the other log directory while it is read, and asks who produced to it.
func directoriesScenario(w world) facts {
	w.createTopic("moved", 1)
	producer := w.newClient()
	defer producer.Close()
	send := func(value string) {
		record := &kgo.Record{Topic: "moved", Value: []byte(value)}
		must(0, producer.ProduceSync(w.context, record).FirstErr())
	}
	send("before")
	send("the move")
	place := func() (string, facts) {
		topics := kadm.TopicsSet{}
		topics.Add("moved", 0)
		found, at := facts{}, ""
		for _, directory := range must(w.admin.DescribeAllLogDirs(w.context, topics)).Sorted() {
			must(0, directory.Err)
			for _, partition := range directory.Topics.Sorted() {
				if !partition.IsFuture {
					at = directory.Dir
				}
				found = facts{
					"size": partition.Size, "lag": partition.OffsetLag, "isFuture": partition.IsFuture,
					"hasRoom": 0 < directory.UsableBytes && directory.UsableBytes <= directory.TotalBytes,
				}
			}
		}
		return at, found
	}
	from, before := place()
	to := w.directories[0]
	if to == from {
		to = w.directories[1]
	}
	request := kadm.AlterReplicaLogDirsReq{}
	topics := kadm.TopicsSet{}
	topics.Add("moved", 0)
	request.Add(to, topics)
	answers := []string{}
	for _, answer := range must(w.admin.AlterAllReplicaLogDirs(w.context, request)).Sorted() {
		answers = append(answers, fmt.Sprintf("%s-%d %s", answer.Topic, answer.Partition, name(answer.Err)))
	}
	at, after := place()
	for at != to {
		must(0, w.context.Err())
		at, after = place()
	}
	send("after")

	producers := []facts{}
	described := must(w.admin.DescribeProducers(w.context, topics))
	for _, producer := range described["moved"].Partitions[0].ActiveProducers.Sorted() {
		producers = append(producers, facts{
			"epoch": producer.ProducerEpoch, "lastSequence": producer.LastSequence,
			"transaction": producer.CurrentTxnStartOffset,
		})
	}
	elections := []string{}
	for _, partitions := range must(w.admin.ElectLeaders(w.context, kadm.ElectPreferredReplica, topics)) {
		for _, each := range partitions {
			elections = append(elections, fmt.Sprintf("%s-%d %s", each.Topic, each.Partition, name(each.Err)))
		}
	}
	consumer := w.newClient(kgo.ConsumeTopics("moved"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer consumer.Close()
	values := []string{}
	for len(values) < 3 {
		fetches := consumer.PollFetches(w.context)
		must(0, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return facts{
		"from": from, "to": at, "before": before, "after": after, "answers": answers,
		"producers": producers, "elections": elections, "values": values,
	}
}
