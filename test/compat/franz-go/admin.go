package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func clusterScenario(w world) facts {
	metadata := must(w.admin.BrokerMetadata(w.context))
	brokers := []facts{}
	for _, broker := range metadata.Brokers {
		brokers = append(brokers, facts{"id": broker.NodeID, "host": broker.Host, "port": broker.Port})
	}
	versions := must(w.admin.ApiVersions(w.context))
	features := map[string]int16{}
	for _, version := range versions.Sorted() {
		must(0, version.Err)
		for _, feature := range version.Raw().FinalizedFeatures {
			features[feature.Name] = feature.MaxVersionLevel
		}
	}
	coordinators := []facts{}
	for _, found := range w.admin.FindGroupCoordinators(w.context, "some", "other").Sorted() {
		coordinators = append(coordinators, facts{
			"group": found.Name, "node": found.NodeID, "port": found.Port, "error": name(found.Err),
		})
	}
	return facts{
		"brokers": brokers, "controller": metadata.Controller, "cluster": metadata.Cluster,
		"features": features, "coordinators": coordinators,
	}
}

func topicsScenario(w world) facts {
	found := facts{}
	settings := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	listed := func() map[string]int {
		partitions := map[string]int{}
		for _, topic := range must(w.admin.ListTopics(w.context)).Sorted() {
			must(0, topic.Err)
			for _, partition := range topic.Partitions.Sorted() {
				must(0, partition.Err)
				if partition.Leader == 1 && partition.LeaderEpoch == 0 && len(partition.ISR) == 1 {
					partitions[topic.Topic]++
				}
			}
		}
		return partitions
	}
	created := func(responses kadm.CreateTopicResponses, err error) []facts {
		must(0, err)
		all := []facts{}
		for _, topic := range slices.Sorted(maps.Keys(responses)) {
			each := responses[topic]
			policy := each.Configs["cleanup.policy"]
			all = append(all, facts{
				"topic": each.Topic, "error": name(each.Err), "message": each.ErrMessage,
				"partitions": each.NumPartitions, "replicas": each.ReplicationFactor,
				"hasId":  each.ID != kadm.TopicID{},
				"policy": policy.Source.String() + " " + policy.MaybeValue(),
			})
		}
		return all
	}
	changed := func(responses kadm.CreatePartitionsResponses, err error) map[string]string {
		must(0, err)
		all := map[string]string{}
		for _, each := range responses.Sorted() {
			all[each.Topic] = name(each.Err)
		}
		return all
	}

	found["validated"] = created(w.admin.ValidateCreateTopics(w.context, 3, 1, settings, "made"))
	found["afterValidation"] = listed()
	found["created"] = created(w.admin.CreateTopics(w.context, 3, 1, settings, "made", "more"))
	found["again"] = created(w.admin.CreateTopics(w.context, 3, 1, settings, "made"))
	found["tooManyReplicas"] = created(w.admin.CreateTopics(w.context, 1, 2, nil, "wide"))
	found["byDefault"] = created(w.admin.CreateTopics(w.context, -1, -1, nil, "usual"))
	found["afterCreation"] = listed()

	found["validatedPartitions"] = changed(w.admin.ValidateCreatePartitions(w.context, 2, "made"))
	found["moreFound"] = changed(w.admin.CreatePartitions(w.context, 2, "made", "more"))
	found["set"] = changed(w.admin.UpdatePartitions(w.context, 6, "more"))
	found["fewer"] = changed(w.admin.UpdatePartitions(w.context, 2, "made"))
	found["afterPartitions"] = listed()
	operations := []string{}
	for _, operation := range must(w.admin.ListTopics(w.context, "made"))["made"].AuthorizedOperations {
		operations = append(operations, operation.String())
	}
	found["operations"] = sorted(operations, strings.Compare)

	deleted := map[string]string{}
	for _, each := range must(w.admin.DeleteTopics(w.context, "made", "usual", "never-made")).Sorted() {
		deleted[each.Topic] = name(each.Err)
	}
	found["deleted"] = deleted
	found["afterDeletion"] = listed()
	return found
}

func configsScenario(w world) facts {
	found := facts{}
	w.createTopic("set", 1)
	keys := []string{"cleanup.policy", "retention.ms", "segment.bytes"}
	described := func() map[string]string {
		values := map[string]string{}
		for _, resource := range must(w.admin.DescribeTopicConfigs(w.context, "set")) {
			must(0, resource.Err)
			for _, config := range resource.Configs {
				for _, key := range keys {
					if config.Key == key {
						sources := []string{}
						for _, synonym := range config.Synonyms {
							sources = append(sources, synonym.Source.String()+" "+*synonym.Value)
						}
						values[key] = config.MaybeValue() + " from " + strings.Join(sources, ", ")
					}
				}
			}
		}
		return values
	}
	altered := func(responses kadm.AlterConfigsResponses, err error) []string {
		must(0, err)
		errors := []string{}
		for _, each := range responses {
			errors = append(errors, strings.TrimSuffix(each.Name+" "+name(each.Err), " "))
		}
		return errors
	}
	set := func(operation kadm.IncrementalOp, key, value string) []kadm.AlterConfig {
		return []kadm.AlterConfig{{Op: operation, Name: key, Value: kadm.StringPtr(value)}}
	}

	found["before"] = described()
	week := set(kadm.SetConfig, "retention.ms", "604800001")
	found["validated"] = altered(w.admin.ValidateAlterTopicConfigs(w.context, week, "set", "none"))
	found["afterValidation"] = described()
	both := append(week, set(kadm.AppendConfig, "cleanup.policy", "compact")...)
	found["set"] = altered(w.admin.AlterTopicConfigs(w.context, both, "set"))
	found["afterSetting"] = described()
	one := set(kadm.SubtractConfig, "cleanup.policy", "delete")
	found["subtracted"] = altered(w.admin.AlterTopicConfigs(w.context, one, "set"))
	unset := set(kadm.DeleteConfig, "retention.ms", "")
	found["deleted"] = altered(w.admin.AlterTopicConfigs(w.context, unset, "set"))
	found["afterDeletion"] = described()
	bad := set(kadm.SetConfig, "retention.ms", "soon")
	found["bad"] = altered(w.admin.AlterTopicConfigs(w.context, bad, "set"))
	// The old request: what it does not name is unset.
	old := set(kadm.SetConfig, "segment.bytes", "1048576")
	found["replaced"] = altered(w.admin.AlterTopicConfigsState(w.context, old, "set"))
	found["afterReplacement"] = described()
	cluster := set(kadm.SetConfig, "log.retention.ms", "777777777")
	found["ofAllBrokers"] = altered(w.admin.AlterBrokerConfigs(w.context, cluster))
	found["afterAllBrokers"] = described()
	node := set(kadm.SetConfig, "log.retention.ms", "888888888")
	found["ofBroker"] = altered(w.admin.AlterBrokerConfigs(w.context, node, 1))
	found["afterBroker"] = described()
	dynamic := []string{}
	for _, resource := range must(w.admin.DescribeBrokerConfigs(w.context, 1)) {
		for _, config := range resource.Configs {
			if strings.HasPrefix(config.Source.String(), "DYNAMIC") {
				dynamic = append(dynamic, config.Key+"="+config.MaybeValue())
			}
		}
	}
	found["dynamicOfBroker"] = dynamic
	resources := []string{}
	for _, each := range must(w.admin.ListConfigResources(w.context)).Resources {
		resources = append(resources, each.Type.String()+" "+each.Name)
	}
	found["resources"] = sorted(resources, strings.Compare)
	return found
}

// Requests that a lone node does not serve: the client must be told so, and go on.
func unservedScenario(w world) facts {
	acls := kadm.NewACLs().AnyResource().Allow().Deny().AllowHosts().DenyHosts().
		Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny)
	_, describeAcls := w.admin.DescribeACLs(w.context, acls)
	_, quotas := w.admin.DescribeClientQuotas(w.context, false, nil)
	_, scram := w.admin.DescribeUserSCRAMs(w.context)
	producer := w.newClient(kgo.TransactionalID("never"))
	defer producer.Close()
	return facts{
		"errors": map[string]string{
			"acls": name(describeAcls), "quotas": name(quotas), "scram": name(scram),
			"transactions": name(producer.BeginTransaction()),
		},
		"brokersAfter": len(must(w.admin.ListBrokers(w.context))),
	}
}
