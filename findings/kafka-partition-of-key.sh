#!/usr/bin/env bash
# @platformatic/kafka: half of the keys go to another partition than with kafkajs, which follows the Java client.
#
# Versions:  @platformatic/kafka 1.35.0, kafkajs 2.2.4, murmur2-partitioner 1.0.0, Node.js 24.21.0. Seen 2026-11-30.
# Expected:  both hash the key with murmur2, so that messages of one key are in one partition, in order, whichever of
#            them sent it. One service after another can go from one client to the other.
# Happens:   the Java client and those that follow it take the sign bit off the hash before they divide it by the number
#            of partitions. Without an option, @platformatic/kafka takes the hash as a number without a sign. A key
#            whose hash has that bit is elsewhere, unless the number of partitions is a power of 2. Two producers of
#            one topic then lose the order of such keys, and a consumer that keeps state for its partitions has a part
#            of what belongs to a key. `compatibilityPartitioner` is right. `LegacyPartitioner`, which kafkajs has for
#            those who come from its version 1, is a third one.
# Setup:     1000 keys. For each number of partitions, how many keys are where the Java rule (murmur2-partitioner) has
#            them. The clients take the number that a partitioner gives modulo that of the partitions.
# Output:    8 partitions: kafkajs 1000, kafkajs legacy 115, platformatic 1000, platformatic compatibility 1000
#            12 partitions: kafkajs 1000, kafkajs legacy 91, platformatic 501, platformatic compatibility 1000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error \
  @platformatic/kafka@1.35.0 kafkajs@2.2.4 murmur2-partitioner@1.0.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import { compatibilityPartitioner, defaultPartitioner } from "@platformatic/kafka"
import kafkajs from "kafkajs"
import { partition } from "murmur2-partitioner"
import assert from "node:assert/strict"

const keys = Array.from({ length: 1000 }, (_, index) => `order-${index}`)
const { DefaultPartitioner, LegacyPartitioner } = kafkajs.Partitioners

const withKafkajs = (create) => {
  const partitioner = create()
  return (key, count) => {
    const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 1 }))
    return partitioner({ topic: "orders", partitionMetadata, message: { key } })
  }
}
const withPlatformatic = (partitioner) => (key, count) => partitioner({}, Buffer.from(key)) % count
const clients = {
  kafkajs: withKafkajs(DefaultPartitioner),
  "kafkajs legacy": withKafkajs(LegacyPartitioner),
  platformatic: withPlatformatic(defaultPartitioner),
  "platformatic compatibility": withPlatformatic(compatibilityPartitioner)
}
const seen = [8, 12].map((count) => {
  const agree = Object.entries(clients).map(([name, partitionOf]) =>
    `${name} ${keys.filter((key) => partitionOf(key, count) === partition(key, count)).length}`
  )
  return `${count} partitions: ${agree.join(", ")}`
})
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "8 partitions: kafkajs 1000, kafkajs legacy 115, platformatic 1000, platformatic compatibility 1000",
  "12 partitions: kafkajs 1000, kafkajs legacy 91, platformatic 501, platformatic compatibility 1000"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
