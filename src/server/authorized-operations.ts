/** Kafka's mark in an answer for "nobody asked". */
export const NOT_ASKED = -(2 ** 31);

/**
 * What the client may do, as bits of Kafka's AclOperation. Without an authorizer that is all that a
 * topic knows: read, write, create, delete, alter, describe, and configs.
 */
export const ALL_TOPIC_OPERATIONS = 0b1101_1111_1000;
/** All that a group knows: read, delete, describe, and configs. */
export const ALL_GROUP_OPERATIONS = 0b1101_0100_1000;
/** All that a cluster knows: create, alter, describe, cluster action, configs, idempotent write. */
export const ALL_CLUSTER_OPERATIONS = 0b1_1111_1010_0000;
