/**
 * What `Sharding` and the workflow engine rely on in a `MessageStorage`: what it stores, what it gives to read and in
 * which order, whom it knows to have sent the same before.
 */
import type { Scope } from "effect"
import { Effect, Option } from "effect"
import { ClusterError, EntityAddress, EntityId, EntityType, ShardId, Snowflake } from "effect/cluster"
import type { Envelope, MessageStorage, Reply } from "effect/cluster"
import { ensure, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** What a back end may leave out. */
export type MessageStorageLack =
  /** A message saved once more with another content is refused, and one with the same is not a duplicate. */
  | "retries"
  /** A chunk that is not acknowledged holds its request back, and what belongs to the request. */
  | "chunks"
  /** Acknowledgements and interrupts are read again after a reset. */
  | "envelopes"
  /** A cleared request is at its old place, and keeps its chunks. */
  | "clearing"
  /** Replies of a transaction that failed were never stored. */
  | "transactions"

/** The storage to hold against the cases, and what it does not promise. */
export interface MessageStorageSuiteOptions {
  /** Called twice for each case: two processes with one store, which is as empty as no cluster used it. */
  readonly open: (cluster: string) => Effect.Effect<MessageStorage.Encoded, unknown, Scope.Scope>
  /** Whether what was opened twice is one store. Default `true`; Effect's memory storage is not. */
  readonly shared?: boolean | undefined
  readonly without?: ReadonlyArray<MessageStorageLack> | undefined
}

const claimMs = 10 * 60_000

interface Sent {
  readonly shard?: number
  readonly entity?: string
  readonly type?: string
  readonly primaryKey?: string
  readonly deliverAt?: number
  readonly payload?: unknown
}

const addressOf = ({ entity = "e", shard = 1, type = "T" }: Sent) => ({
  shardId: { group: "default", id: shard },
  entityType: type,
  entityId: entity
})

const entityAddress = (sent: Sent) =>
  EntityAddress.make({
    shardId: ShardId.make("default", sent.shard ?? 1),
    entityType: EntityType.make(sent.type ?? "T"),
    entityId: EntityId.make(sent.entity ?? "e")
  })

const requestOf = (id: string, sent: Sent): Envelope.PartialRequestEncoded => ({
  _tag: "Request",
  requestId: id,
  address: addressOf(sent),
  tag: "Do",
  payload: sent.payload ?? { n: id },
  headers: { h: "1" }
})

const exitOf = (requestId: string, id: string): Reply.WithExitEncoded => ({
  _tag: "WithExit",
  requestId,
  id,
  exit: { _tag: "Success", value: `exit ${id}` }
})

const chunkOf = (requestId: string, id: string, sequence: number): Reply.ChunkEncoded => ({
  _tag: "Chunk",
  requestId,
  id,
  sequence,
  values: [`chunk ${id}`]
})

const acknowledgementOf = (
  requestId: string,
  id: string,
  replyId: string,
  sent: Sent = {}
): Envelope.AckChunkEncoded => ({
  _tag: "AckChunk",
  id,
  requestId,
  replyId,
  address: addressOf(sent)
})

const interruptOf = (requestId: string, id: string, sent: Sent = {}): Envelope.InterruptEncoded => ({
  _tag: "Interrupt",
  id,
  requestId,
  address: addressOf(sent)
})

const shard = (...ids: ReadonlyArray<number>) => ids.map((id) => `default:${id}`) as unknown as readonly [string]

class Store {
  readonly encoded: MessageStorage.Encoded

  constructor(encoded: MessageStorage.Encoded) {
    this.encoded = encoded
  }

  save(envelope: Envelope.Encoded, { deliverAt, primaryKey }: Sent = {}) {
    return this.encoded.saveEnvelope({ envelope, primaryKey: primaryKey ?? null, deliverAt: deliverAt ?? null })
  }

  send(id: string, sent: Sent = {}) {
    return this.save(requestOf(id, sent), sent)
  }

  reply(reply: Reply.Encoded) {
    return this.encoded.saveReply(reply)
  }

  /** What is read, in order: requests by their ids, the others by kind and id. */
  read(
    shards: ReadonlyArray<number> = [1],
    now = 0,
    options?: { readonly limit?: number; readonly addresses?: ReadonlyArray<EntityAddress.EntityAddress> }
  ) {
    return Effect.map(
      this.encoded.unprocessedMessages(shard(...shards) as never, now, options),
      (found) => found.map(({ envelope }) => nameOf(envelope))
    )
  }

  replies(...ids: ReadonlyArray<string>) {
    return Effect.map(this.encoded.repliesFor(ids as never), (found) => found.map(({ id }) => id))
  }

  allReplies(...ids: ReadonlyArray<string>) {
    return Effect.map(this.encoded.repliesForUnfiltered(ids as never), (found) => found.map(({ id }) => id))
  }

  clear(id: string, expectedReplyId?: string) {
    return this.encoded.clearReplies(
      Snowflake.Snowflake(id),
      expectedReplyId === undefined ? undefined : { expectedReplyId: Snowflake.Snowflake(expectedReplyId) }
    )
  }
}

const nameOf = (envelope: Envelope.Encoded): string =>
  envelope._tag === "Request" ? envelope.requestId : `${envelope._tag} ${envelope.id}`

const duplicateOf = (found: MessageStorage.SaveResult.Encoded) =>
  found._tag === "Success"
    ? found._tag
    : [String(found.originalId), Option.getOrUndefined(Option.map(found.lastReceivedReply, ({ id }) => id))]

/** What a message storage of Effect Cluster has to do, between two processes. */
export const messageStorageCases = (options: MessageStorageSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const lacks = new Set(options.without)
  let clusters = 0

  const make = (
    name: string,
    run: (store: Store, other: Store) => Effect.Effect<void, unknown, Scope.Scope>,
    ...needs: ReadonlyArray<MessageStorageLack>
  ): ReadonlyArray<ConformanceCase> =>
    needs.some((need) => lacks.has(need)) ? [] : [{
      name,
      effect: Effect.scoped(Effect.gen(function*() {
        const cluster = `messages ${++clusters}`
        const store = new Store(yield* options.open(cluster))
        yield* run(store, options.shared === false ? store : new Store(yield* options.open(cluster)))
      }))
    }]

  return [
    ...make(
      "requests are read once, in the order in which they were saved, of the shards that were asked for",
      (store, other) =>
        Effect.gen(function*() {
          const sent = requestOf("30", { payload: { text: "ä", list: [1, null] } })
          yield* other.save(sent)
          yield* store.send("20", { shard: 2 })
          yield* store.send("-10")
          yield* other.send("25", { shard: 3 })
          const [first, ...rest] = yield* store.encoded.unprocessedMessages(shard(1, 2) as never, 0)
          yield* same(first, { envelope: sent, lastSentReply: Option.none() }, "the request as it was saved")
          yield* same(rest.map(({ envelope }) => nameOf(envelope)), ["20", "-10"], "the others")
          yield* same(yield* store.read([1, 2]), [], "what was read before")
          yield* same(yield* store.read([4]), [], "a shard without messages")
          yield* same(yield* store.read([3, 1]), ["25"], "another shard")
        })
    ),
    ...make("large envelopes are as good as small ones", (store) =>
      Effect.gen(function*() {
        const sent = requestOf("1", { payload: "x".repeat(100_000) })
        yield* store.save(sent)
        const [found] = yield* store.encoded.unprocessedMessages(shard(1) as never, 0)
        yield* ensure(JSON.stringify(found?.envelope) === JSON.stringify(sent), "the large envelope is another one")
      })),
    ...make("only what is returned counts as read: by limit, and by address", (store) =>
      Effect.gen(function*() {
        yield* Effect.forEach(["1", "2", "3", "4"], (id) => store.send(id, { entity: Number(id) % 2 ? "odd" : "even" }))
        const odd = entityAddress({ entity: "odd" })
        yield* same(yield* store.read([1], 0, { addresses: [] }), [], "no address")
        yield* same(yield* store.read([1], 0, { addresses: [odd], limit: 1 }), ["1"], "one of an address")
        yield* same(yield* store.read([1], 0, { limit: 2 }), ["2", "3"], "the next two")
        yield* same(yield* store.read([1], 0, { addresses: [odd] }), [], "no more of the address")
        yield* same(yield* store.read(), ["4"], "the rest")
      })),
    ...make("what was read is read again after ten minutes, and after a reset", (store) =>
      Effect.gen(function*() {
        yield* store.send("1", { entity: "a" })
        yield* store.send("2", { entity: "b" })
        yield* store.send("3", { shard: 2 })
        yield* same(yield* store.read([1, 2], 1_000), ["1", "2", "3"], "all")
        yield* same(yield* store.read([1, 2], claimMs), [], "within ten minutes")
        yield* store.encoded.resetRequests([Snowflake.Snowflake("2"), Snowflake.Snowflake("9")])
        yield* same(yield* store.read([1, 2], claimMs), ["2"], "a request that was reset")
        yield* store.encoded.resetAddresses([entityAddress({ entity: "a" })])
        yield* same(yield* store.read([1, 2], claimMs), ["1"], "an address that was reset")
        yield* store.encoded.resetShards(shard(2) as never)
        yield* same(yield* store.read([1, 2], claimMs), ["3"], "a shard that was reset")
        yield* store.encoded.resetShards(shard(1, 2) as never)
        yield* same(yield* store.read([1, 2], claimMs), ["1", "2", "3"], "all, in order")
        yield* same(yield* store.read([1, 2], 2 * claimMs + 1), ["1", "2", "3"], "after ten minutes")
      })),
    ...make("a message is read when it is due", (store) =>
      Effect.gen(function*() {
        yield* store.send("1", { deliverAt: 5_000 })
        yield* store.send("2", { deliverAt: 4_000 })
        yield* store.send("3")
        yield* same(yield* store.read([1], 3_999), ["3"], "before")
        yield* same(yield* store.read([1], 4_000), ["2"], "when one is due")
        yield* same(yield* store.read([1], 9_000), ["1"], "when the other is")
      })),
    ...make(
      "a primary key has one request, which answers for it with its last reply",
      (store, other) =>
        Effect.gen(function*() {
          const keyed = { primaryKey: "T/e/Do/1" }
          yield* same(duplicateOf(yield* store.send("1", keyed)), "Success", "the first")
          yield* same(duplicateOf(yield* other.send("2", keyed)), ["1", undefined], "the second")
          yield* same(duplicateOf(yield* other.send("3", { primaryKey: "T/e/Do/2" })), "Success", "another key")
          yield* store.reply(exitOf("1", "100"))
          yield* same(duplicateOf(yield* other.send("4", keyed)), ["1", "100"], "one after the exit")
          yield* same(yield* store.read(), ["3"], "what is to be read")
          const found = yield* other.encoded.requestIdForPrimaryKey("T/e/Do/2")
          yield* same(Option.map(found, String), Option.some("3"), "the request of a key")
          yield* same(yield* store.encoded.requestIdForPrimaryKey("T/e/Do/3"), Option.none(), "a key without one")
        })
    ),
    ...make(
      "of many that send a primary key at once one succeeds, however long the key is",
      (store, other) =>
        Effect.gen(function*() {
          for (
            const [at, primaryKey] of [`T/e/Do/${"x".repeat(3_000)}`, `T/e/Do/${"x".repeat(2_999)}y`, "T/e/Do/\ud800/%"]
              .entries()
          ) {
            const offset = (at + 1) * 100
            const saved = yield* Effect.forEach(
              Array.from({ length: 16 }, (_, i) => i),
              (i) => (i % 2 === 0 ? store : other).send(String(offset + i), { primaryKey }),
              { concurrency: "unbounded" }
            )
            yield* same(saved.filter(({ _tag }) => _tag === "Success").length, 1, "successes")
            const winner = String(offset + saved.findIndex(({ _tag }) => _tag === "Success"))
            for (const one of saved) {
              if (one._tag === "Duplicate") yield* same(String(one.originalId), winner, "the original")
            }
          }
          yield* same((yield* store.read()).length, 3, "requests")
        })
    ),
    ...make(
      "the same message saved once more is the same, and another one of its id is refused",
      (store, other) =>
        Effect.gen(function*() {
          yield* store.send("1")
          yield* same(duplicateOf(yield* other.send("1")), "Success", "the same again")
          const error = yield* Effect.flip(other.send("1", { payload: "another" }))
          yield* ensure(error instanceof ClusterError.PersistenceError, "the error is no PersistenceError")
          yield* same(yield* store.read(), ["1"], "requests")
          yield* store.reply(exitOf("1", "100"))
          yield* same(duplicateOf(yield* other.send("1")), "Success", "the same after its exit")
          yield* same(yield* store.read([1], claimMs * 2), [], "requests after the exit")
          yield* store.reply(exitOf("1", "100"))
          yield* same(yield* store.replies("1"), ["100"], "an exit that was stored twice")
        }),
      "retries"
    ),
    ...make(
      "an exit ends a request, and with it what belongs to the request",
      (store, other) =>
        Effect.gen(function*() {
          yield* store.send("1")
          yield* store.send("2")
          yield* store.save(interruptOf("1", "50"))
          yield* store.reply(exitOf("1", "101"))
          yield* store.reply(exitOf("2", "100"))
          yield* same(yield* store.read(), [], "what is to be read")
          yield* same(yield* other.replies("2", "1", "3"), ["101", "100"], "replies in the order of their storing")
          yield* same(yield* other.allReplies("1"), ["101"], "replies of one")
          const [exit] = yield* other.encoded.repliesFor(["1"] as never)
          yield* same(exit, exitOf("1", "101"), "the exit as it was stored")
          yield* store.reply(exitOf("9", "102"))
          yield* same(yield* store.replies("9"), [], "replies to a request that never was")
        }),
      "envelopes"
    ),
    ...make("a chunk holds its request back until it is acknowledged", (store, other) =>
      Effect.gen(function*() {
        yield* store.send("1", { primaryKey: "T/e/Do/1" })
        yield* same(yield* store.read(), ["1"], "the request")
        yield* store.reply(chunkOf("1", "100", 0))
        yield* other.save(interruptOf("1", "60"))
        yield* store.encoded.resetShards(shard(1) as never)
        yield* same(yield* store.read(), [], "while the chunk is not acknowledged")
        yield* same(yield* other.replies("1"), ["100"], "the chunk")
        yield* same(duplicateOf(yield* other.send("9", { primaryKey: "T/e/Do/1" })), ["1", "100"], "a duplicate")
        yield* other.save(acknowledgementOf("1", "61", "100"))
        const found = yield* store.encoded.unprocessedMessages(shard(1) as never, 0)
        yield* same(found.map(({ envelope }) => nameOf(envelope)), ["1", "Interrupt 60", "AckChunk 61"], "after it is")
        yield* same(found[0]?.lastSentReply, Option.some(chunkOf("1", "100", 0)), "the last reply that was sent")
        yield* same(yield* other.replies("1"), [], "replies that are not acknowledged")
        yield* same(yield* other.allReplies("1"), ["100"], "all replies")

        yield* store.reply(chunkOf("1", "101", 1))
        yield* other.save(acknowledgementOf("1", "62", "101"))
        yield* store.encoded.resetShards(shard(1) as never)
        yield* same(yield* store.read(), ["1", "Interrupt 60", "AckChunk 62"], "the last acknowledgement alone")
        yield* store.reply(chunkOf("1", "102", 2))
        yield* store.reply(exitOf("1", "103"))
        yield* same(yield* other.replies("1"), ["102", "103"], "the last chunk and the exit")
        yield* same(yield* other.allReplies("1"), ["100", "101", "102", "103"], "all replies in the end")
        yield* store.encoded.resetShards(shard(1) as never)
        yield* same(yield* store.read(), [], "what is to be read in the end")
      }), "chunks"),
    ...make("a request whose replies are cleared is at its old place again", (store, other) =>
      Effect.gen(function*() {
        yield* store.send("1", { deliverAt: 5 })
        yield* store.send("2")
        yield* store.reply(chunkOf("1", "99", 0))
        yield* store.save(acknowledgementOf("1", "50", "99"))
        yield* same((yield* store.read([1], 10)).length, 3, "what is to be read")
        yield* store.reply(exitOf("1", "100"))
        yield* other.clear("1", "98")
        yield* same(yield* store.replies("1"), ["100"], "replies after another one was expected")
        yield* other.clear("1", "100")
        yield* same(yield* store.replies("1"), [], "replies after they were cleared")
        yield* same(yield* store.allReplies("1"), ["99"], "chunks after the replies were cleared")
        yield* same(yield* store.read([1], 10), ["1"], "what is to be read again")
        yield* other.clear("1", "100")
        yield* store.encoded.resetShards(shard(1) as never)
        yield* same(yield* store.read([1], 10), ["1", "2"], "both, in order")
        yield* store.reply(exitOf("1", "101"))
        yield* store.clear("1")
        yield* store.clear("8")
        yield* same(yield* store.read([1], 10), ["1"], "cleared once more")
      }), "clearing"),
    ...make(
      "requests are read by their ids as well, which hands nothing out",
      (store, other) =>
        Effect.gen(function*() {
          yield* store.send("2")
          yield* store.send("1")
          yield* store.send("3", { deliverAt: 100 })
          yield* store.send("4")
          yield* store.reply(exitOf("4", "100"))
          const byId = (now: number) =>
            Effect.map(
              other.encoded.unprocessedMessagesById(
                ["1", "2", "3", "4", "5"].map(Snowflake.Snowflake) as never,
                now
              ),
              (found) => found.map(({ envelope }) => nameOf(envelope))
            )
          yield* same(yield* byId(0), ["2", "1"], "by id")
          yield* same(yield* byId(100), ["2", "1", "3"], "by id, when one is due")
          yield* same(yield* store.read(), ["2", "1"], "what is to be read")
        }),
      "chunks"
    ),
    ...make("nothing is left of an address that is cleared", (store, other) =>
      Effect.gen(function*() {
        yield* store.send("1", { entity: "a", primaryKey: "T/a/Do/1" })
        yield* store.send("2", { entity: "a" })
        yield* store.send("3", { entity: "a/b", primaryKey: "T/a/b/Do/1" })
        yield* store.send("4", { entity: "a", type: "T/a" })
        yield* store.save(interruptOf("2", "50", { entity: "a" }))
        yield* store.reply(exitOf("1", "100"))
        yield* other.encoded.clearAddress(entityAddress({ entity: "a" }))
        yield* same(yield* store.read(), ["3", "4"], "what is to be read")
        yield* same(yield* store.allReplies("1"), [], "replies")
        yield* same(yield* store.encoded.requestIdForPrimaryKey("T/a/Do/1"), Option.none(), "the primary key")
        yield* same(duplicateOf(yield* store.send("5", { entity: "a", primaryKey: "T/a/Do/1" })), "Success", "the key")
        yield* store.encoded.clearAddress(entityAddress({ entity: "never" }))
      })),
    ...make(
      "a primary key is found whatever slashes are in it, and belongs to its entity",
      (store, other) =>
        Effect.gen(function*() {
          const keys = [
            { primaryKey: "T/a/b/Do/1", type: "T", entity: "a/b" },
            { primaryKey: "T/a/c/Do/1", type: "T/a", entity: "c" },
            { primaryKey: "T//Do/", type: "T", entity: "" },
            { primaryKey: `T/${"/".repeat(400)}/Do/1`, type: "T", entity: "/".repeat(400) },
            { primaryKey: "U/another/Do/1", type: "T", entity: "e" }
          ]
          for (const [i, sent] of keys.entries()) {
            yield* same(duplicateOf(yield* store.send(String(i + 1), sent)), "Success", sent.primaryKey)
            yield* same(duplicateOf(yield* other.send(String(i + 11), sent)), [String(i + 1), undefined], "sent again")
          }
          for (const [i, { primaryKey }] of keys.entries()) {
            const found = yield* other.encoded.requestIdForPrimaryKey(primaryKey)
            yield* same(Option.map(found, String), Option.some(String(i + 1)), primaryKey)
          }
          yield* same(yield* other.encoded.requestIdForPrimaryKey("T/a/b/c/Do/1"), Option.none(), "another key")
          yield* store.encoded.clearAddress(entityAddress({ entity: "e" }))
          yield* same(yield* store.encoded.requestIdForPrimaryKey("U/another/Do/1"), Option.none(), "a cleared key")
          yield* same(duplicateOf(yield* store.send("6", keys[4])), "Success", "the cleared key once more")
        })
    ),
    ...make(
      "a large exit, and a small one of a large request, are taken back and stored again",
      (store, other) =>
        Effect.gen(function*() {
          const requests = [requestOf("1", { payload: "x" }), requestOf("2", { payload: "y".repeat(100_000) })]
          const exits = [["1", "x".repeat(1_000_000)], ["2", "y"], ["1", "z"], ["2", "z".repeat(1_000_000)]] as const
          for (const request of requests) yield* store.save(request, { primaryKey: `T/e/Do/${request.requestId}` })
          for (const [i, [id, value]] of exits.entries()) {
            const exit = { ...exitOf(id, String(100 + i)), exit: { _tag: "Success", value } } as const
            yield* store.reply(exit)
            yield* same(yield* other.encoded.repliesFor([id] as never), [exit], "the exit")
            const again = yield* other.send("9", { primaryKey: `T/e/Do/${id}` })
            yield* same(duplicateOf(again), [id, exit.id], "a duplicate")
            yield* other.clear(id)
            yield* same(yield* other.replies(id), [], "replies after that")
            yield* store.encoded.resetShards(shard(1) as never)
            const read = yield* store.encoded.unprocessedMessages(shard(1) as never, 0)
            yield* same(read.map(({ envelope }) => envelope), requests, "what is to be read")
          }
          yield* store.encoded.clearAddress(entityAddress({ entity: "e" }))
          yield* same(yield* store.read([1], claimMs * 2), [], "what is to be read in the end")
        }),
      "clearing"
    ),
    ...make(
      "a transaction that fails stored nothing, and one that succeeds all",
      (store, other) =>
        Effect.gen(function*() {
          yield* store.send("1")
          yield* store.send("2")
          const failed = store.encoded.withTransaction(
            Effect.andThen(
              Effect.all([store.reply(exitOf("1", "100")), store.send("3", { primaryKey: "T/e/Do/1" })]),
              Effect.fail("no" as const)
            )
          )
          yield* same(yield* Effect.flip(failed), "no", "the failure")
          yield* same(yield* other.replies("1"), [], "replies after the failure")
          yield* same(yield* store.read(), ["1", "2"], "what is to be read after it")
          yield* store.encoded.withTransaction(Effect.gen(function*() {
            yield* store.reply(exitOf("1", "101"))
            yield* Effect.ignore(store.encoded.withTransaction(
              Effect.andThen(store.reply(exitOf("2", "102")), Effect.fail("no"))
            ))
            yield* store.encoded.withTransaction(store.send("4", { primaryKey: "T/e/Do/1" }))
            yield* same(yield* other.replies("1"), [], "replies before the end")
          }))
          yield* same(yield* other.replies("1", "2"), ["101"], "replies in the end")
          yield* same(yield* store.read(), ["4"], "what is to be read in the end")
        }),
      "transactions"
    )
  ]
}
