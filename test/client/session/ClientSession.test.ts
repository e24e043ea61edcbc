/** Exactly once: whatever is lost, repeated or late, each write takes effect once, and the caller knows what it can know. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Semaphore } from "effect"
import { TestClock } from "effect/testing"
import type { ClientOptions } from "../../../src/client/ClientOptions.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Compare, Op } from "../../../src/client/Txn.ts"
import * as RemoteClient from "../../../src/client/RemoteClient.ts"
import {
  Indeterminate,
  InvalidArgument,
  NotLeader,
  Overloaded,
  ResultsNotKept,
  SessionExpired
} from "../../../src/FlareDbError.ts"
import type { DecodedCommand } from "../../../src/kv/model/Command.ts"
import { decodeCommand, encodeCommand } from "../../../src/kv/model/Command.ts"
import { maxSessionReplies, maxSessions } from "../../../src/kv/model/Limits.ts"
import { encodeReply } from "../../../src/kv/model/ReplyCodec.ts"
import type { Answer } from "../FakeCluster.ts"
import { connectTo, FakeNode } from "../FakeCluster.ts"
import { FakeStore } from "../FakeStore.ts"

type Write = FakeNode["write"]

/** Three nodes before one store; the first leads. */
const cluster = Effect.gen(function*() {
  const store = yield* FakeStore.make
  const nodes = [new FakeNode(1), new FakeNode(2), new FakeNode(3)] as const
  for (const node of nodes) {
    node.write = store.answer
    node.read = () => Effect.succeed([])
  }
  /** Everything that arrived at any node, in that order. */
  const arrived: Array<DecodedCommand> = []
  const connect = connectTo(nodes)
  const watched: typeof connect = (endpoint) =>
    Effect.map(connect(endpoint), (connection) => ({
      ...connection,
      write: (commands, done) => {
        for (const command of commands) arrived.push(decodeCommand(command) as DecodedCommand)
        connection.write(commands, done)
      }
    }))
  const client = (options: Partial<ClientOptions> = {}) =>
    RemoteClient.layerConnect({ endpoints: nodes.map(({ endpoint }) => endpoint), ...options }, watched)
  return { store, nodes, arrived, client }
})

/** Answers the next call that is not about the session itself in another way. */
const once = (node: FakeNode, other: Write): void => {
  const usual = node.write
  node.write = (count, commands) => {
    if ((decodeCommand(commands[0] as Uint8Array) as DecodedCommand).command._tag === "OpenSession") {
      return usual(count, commands)
    }
    node.write = usual
    return other(count, commands)
  }
}

const put = (key = "key") => KeyValue.use((kv) => kv.put(key, "value"))

/** Runs `work` while time passes. */
const inTime = Effect.fnUntraced(function*<A, E, R>(work: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(Effect.exit(work))
  for (let steps = 0; steps < 3_000; steps++) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return yield* Fiber.join(fiber)
    yield* TestClock.adjust(10)
  }
  return yield* Effect.die(new Error("it never ends"))
})

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Option.getOrElse(Exit.findErrorOption(exit), () => assert.fail(`it ended as ${exit}`))

const puts = (arrived: ReadonlyArray<DecodedCommand>) => arrived.filter(({ command }) => command._tag === "Put")
const tagsOf = (arrived: ReadonlyArray<DecodedCommand>) => arrived.map(({ command }) => command._tag)

describe("a write whose answer is lost", () => {
  const losses: Readonly<Record<string, (store: FakeStore, node: FakeNode) => Write>> = {
    "with the connection": (store, node) => (_, commands) =>
      Effect.andThen(store.carryOut(commands), Effect.fail(node.lost(true))),
    "with the leader": (store) => (count, commands) =>
      Effect.as(
        store.carryOut(commands),
        Array.from({ length: count }, () => new Indeterminate({ reason: "leadership was lost" }))
      ),
    "with no word": (store) => (_, commands) => Effect.andThen(store.carryOut(commands), Effect.never),
    "before it was carried out": (_, node) => () => Effect.fail(node.lost(true))
  }
  for (const [how, lose] of Object.entries(losses)) {
    it.effect(`${how} takes effect once, and gets its answer`, () =>
      Effect.gen(function*() {
        const { arrived, client, nodes, store } = yield* cluster
        once(nodes[0], lose(store, nodes[0]))
        const results = yield* Effect.gen(function*() {
          const first = yield* inTime(put())
          const second = yield* put()
          return [Exit.getSuccess(first), second] as const
        }).pipe(Effect.provide(client()))
        assert.deepStrictEqual(Option.getOrUndefined(results[0]), { revision: 1, created: true, version: 1 })
        assert.strictEqual(results[1].version, 2, "what happened once happened once")
        assert.deepStrictEqual(puts(arrived).map(({ commandId }) => commandId.sequence), [1, 1, 2])
      }))
  }

  it.effect("and is too large to be kept takes effect once, and its caller is told so", () =>
    Effect.gen(function*() {
      const { client, nodes, store } = yield* cluster
      const results = yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("large", "x".repeat(70_000))
        const transaction = kv.transact({ do: [Op.put("counter", "1"), Op.get("large")] })
        const whole = yield* transaction
        once(nodes[0], (_, commands) => Effect.andThen(store.carryOut(commands), Effect.fail(nodes[0].lost(true))))
        const digest = yield* inTime(transaction)
        const after = yield* kv.put("counter", "2")
        return { whole, digest, after }
      }).pipe(Effect.provide(client()))
      assert.isTrue(results.whole.succeeded)
      const error = errorOf(results.digest)
      assert.instanceOf(error, ResultsNotKept)
      assert.deepInclude(error, { revision: results.whole.revision + 1, succeeded: true })
      assert.strictEqual(results.after.version, 3, "what was repeated happened once")
    }))

  it.effect("and is refused by another node as invalid may have taken effect", () =>
    Effect.gen(function*() {
      const { client, nodes, store } = yield* cluster
      const invalid = new InvalidArgument({ field: "command", problem: "needs another release" })
      const refuse: Write = (count) => Effect.succeed(Array.from({ length: count }, () => invalid))
      const [lost, never] = yield* Effect.gen(function*() {
        yield* put()
        once(nodes[0], (_, commands) => Effect.andThen(store.carryOut(commands), Effect.fail(nodes[0].lost(true))))
        for (const node of nodes.slice(1)) node.write = refuse
        const lost = yield* inTime(put())
        for (const node of nodes) node.write = refuse
        return [lost, yield* inTime(put())] as const
      }).pipe(Effect.provide(client()))
      assert.instanceOf(errorOf(lost), Indeterminate)
      assert.instanceOf(errorOf(never), InvalidArgument, "what no node took was not written")
    }))

  it.effect("and is too large to be kept takes place later when it changed nothing", () =>
    Effect.gen(function*() {
      const changes = [undefined, { _tag: "Put", key: new TextEncoder().encode("counter"), lease: 0 }] as const
      for (const change of changes) {
        const { client, nodes, store } = yield* cluster
        // What holds by then decides: no caller heard of the first time.
        const meanwhile = change === undefined ? [] : [encodeCommand({ ...change, value: new Uint8Array(1) })]
        const { done, txn } = yield* Effect.gen(function*() {
          const kv = yield* KeyValue
          yield* kv.put("large", "x".repeat(70_000))
          once(nodes[0], (_, commands) =>
            store.carryOut(commands).pipe(
              Effect.andThen(store.carryOut(meanwhile)),
              Effect.andThen(Effect.fail(nodes[0].lost(true)))
            ))
          const txn = yield* Effect.flatten(inTime(kv.transact({
            if: [Compare.exists("counter")],
            do: [Op.put("done", "1")],
            else: [Op.get("large")]
          })))
          return { done: yield* kv.put("done", "2"), txn }
        }).pipe(Effect.provide(client()))
        assert.strictEqual(txn.succeeded, change !== undefined)
        if (!txn.succeeded) assert.strictEqual(Option.getOrThrow(txn.results[0]).value.byteLength, 70_000)
        assert.strictEqual(done.version, change === undefined ? 1 : 2)
      }
    }))

  it.effect("many times over takes effect once for each of many writers", () =>
    Effect.gen(function*() {
      const { client, nodes, store } = yield* cluster
      let calls = 0
      for (const node of nodes) {
        node.write = (count, commands): Answer => {
          calls += 1
          switch (calls % 4) {
            case 0:
              return Effect.andThen(store.carryOut(commands), Effect.fail(node.lost(true)))
            case 1:
              return Effect.fail(node.lost(true))
            case 2:
              return Effect.succeed(Array.from({ length: count }, () => new NotLeader({ nodeId: 9 })))
            default:
              // Delivered twice.
              return Effect.andThen(store.carryOut(commands), store.carryOut(commands))
          }
        }
      }
      const versions = yield* Effect.gen(function*() {
        const all = yield* inTime(
          Effect.forEach(Array.from({ length: 200 }), () => put("one key"), { concurrency: 25 })
        )
        return Option.getOrThrow(Exit.getSuccess(all)).map(({ version }) => version)
      }).pipe(Effect.provide(client({ requestTimeoutMs: 20_000 })))
      assert.deepStrictEqual(versions.sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i + 1))
    }))

  it.effect("is unknown at its deadline, and never takes effect after a later write did", () =>
    Effect.gen(function*() {
      const { arrived, client, nodes, store } = yield* cluster
      let held: ReadonlyArray<Uint8Array> = []
      for (const node of nodes) {
        node.write = (count, commands) => {
          if ((decodeCommand(commands[0] as Uint8Array) as DecodedCommand).command._tag === "OpenSession") {
            return store.answer(count, commands)
          }
          held = commands
          return Effect.never
        }
      }
      yield* Effect.gen(function*() {
        assert.instanceOf(errorOf(yield* inTime(put("late"))), Indeterminate)
        for (const node of nodes) node.write = store.answer
        yield* put("after")
      }).pipe(Effect.provide(client()))
      const [reply] = yield* store.carryOut(held)
      assert.strictEqual((decodeCommand(held[0] as Uint8Array) as DecodedCommand).commandId.sequence, 1)
      assert.deepStrictEqual(puts(arrived).at(-1)?.commandId.answered, 1, "nobody waits for the first any more")
      assert.strictEqual((reply as Uint8Array)[1], 10, "the late copy is refused")
    }))
})

describe("a session that has ended", () => {
  it.effect("while the client was idle is replaced without a word", () =>
    Effect.gen(function*() {
      const { arrived, client, store } = yield* cluster
      yield* Effect.gen(function*() {
        yield* put()
        yield* store.expire(1)
        const results = yield* Effect.forEach(["a", "b", "c"], put, { concurrency: "unbounded" })
        assert.deepStrictEqual(results.map(({ created }) => created), [true, true, true])
      }).pipe(Effect.provide(client()))
      assert.deepStrictEqual(tagsOf(arrived), [
        "OpenSession",
        "Put",
        "Put",
        "Put",
        "Put",
        "OpenSession",
        "Put",
        "Put",
        "Put",
        "CloseSession"
      ])
      assert.strictEqual(new Set(puts(arrived).map(({ commandId }) => commandId.session)).size, 2)
    }))

  it.effect("because new clients needed its place, while the client was idle, is replaced: the write is done once", () =>
    Effect.gen(function*() {
      const { arrived, client, store } = yield* cluster
      yield* Effect.gen(function*() {
        yield* put()
        store.nowMs += 60_000
        const open = encodeCommand({ _tag: "OpenSession", ttlMs: 300_000, secret: new Uint8Array(16), owner: "" })
        yield* store.carryOut(Array.from({ length: maxSessions }, () => open))
        // Those who took all places sent nothing. The refused one was not carried out, and this one is, once.
        assert.deepInclude(yield* put(), { created: false, version: 2 })
      }).pipe(Effect.provide(client()))
      assert.strictEqual(new Set(puts(arrived).map(({ commandId }) => commandId.session)).size, 2)
    }))

  it.effect("before the outcome of a write was known: nobody can know it, and later writes work", () =>
    Effect.gen(function*() {
      const { client, nodes, store } = yield* cluster
      yield* Effect.gen(function*() {
        yield* put("first")
        once(nodes[0], (_, commands) =>
          store.carryOut(commands).pipe(
            Effect.andThen(store.expire(1)),
            Effect.andThen(Effect.fail(nodes[0].lost(true)))
          ))
        const error = errorOf(yield* inTime(put("unknown")))
        assert.instanceOf(error, SessionExpired)
        assert.strictEqual((error as SessionExpired).session, 1)
        assert.isTrue((yield* put("next")).created)
      }).pipe(Effect.provide(client()))
    }))

  for (
    const [what, refuse] of Object.entries<(node: FakeNode) => Write>({
      "that it does not lead": () => (count) =>
        Effect.succeed(Array.from({ length: count }, () => new NotLeader({ nodeId: 1 }))),
      "that it is overloaded": () => (count) =>
        Effect.succeed(
          Array.from({ length: count }, () => new Overloaded({ limit: "maxInboxEvents", current: 1, maximum: 1 }))
        ),
      "nothing, because the connection was gone before": (node) => () => Effect.fail(node.lost(false))
    })
  ) {
    it.effect(`after a node said of a write ${what}: it is carried out in the next session`, () =>
      Effect.gen(function*() {
        const { client, nodes, store } = yield* cluster
        yield* Effect.gen(function*() {
          yield* put("first")
          once(nodes[0], (count, commands) => Effect.andThen(store.expire(1), refuse(nodes[0])(count, commands)))
          const result = yield* inTime(put("again"))
          assert.deepInclude(Option.getOrThrow(Exit.getSuccess(result)), { created: true, version: 1 })
        }).pipe(Effect.provide(client()))
      }))
  }
})

describe("the table of answers", () => {
  it.effect("stays well below its bound while the oldest write has no answer", () =>
    Effect.gen(function*() {
      const { arrived, client, nodes } = yield* cluster
      yield* Effect.gen(function*() {
        once(nodes[0], () => Effect.never)
        const first = yield* Effect.forkChild(put("stuck"))
        yield* TestClock.adjust(10)
        // More than half of the bound, which all of them together would go beyond.
        const count = Math.ceil(0.6 * maxSessionReplies)
        const others = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: count }, (_, i) => `other ${i}`), put, { concurrency: "unbounded" })
        )
        yield* TestClock.adjust(1_000)
        const seen = puts(arrived)
        assert.isAbove(seen.length, 1_000)
        for (const { commandId } of seen) {
          assert.isAtMost(commandId.sequence - commandId.answered, maxSessionReplies / 2)
        }
        assert.isUndefined(others.pollUnsafe(), "the others wait for the first")
        const exit = yield* inTime(Effect.andThen(Fiber.join(first), Fiber.join(others)))
        assert.isTrue(Exit.isSuccess(exit), "until it is sent again and answered")
        assert.strictEqual(new Set(seen.map(({ commandId }) => commandId.sequence)).size, seen.length)
      }).pipe(Effect.provide(client({ requestTimeoutMs: 60_000 })))
    }))

  it.effect("that is full nevertheless makes the write wait, and say anew what was answered", () =>
    Effect.gen(function*() {
      const { arrived, client, nodes, store } = yield* cluster
      const full = encodeReply({
        _tag: "RefusedReply",
        revision: 0,
        reason: "overloaded",
        field: "maxSessionReplyBytes",
        text: "is reached",
        current: 2,
        maximum: 1
      })
      yield* Effect.gen(function*() {
        yield* put("before")
        // The first write is still under way when the second gets its id, and has its answer when that is repeated.
        once(nodes[0], (_, commands) => Effect.andThen(Effect.sleep(15), store.carryOut(commands)))
        const first = yield* Effect.forkChild(put("first"))
        while (puts(arrived).length < 2) yield* TestClock.adjust(1)
        once(nodes[0], () => Effect.andThen(Effect.sleep(5), Effect.succeed([full])))
        const result = yield* inTime(put("second"))
        assert.isTrue(Exit.isSuccess(result))
        assert.isTrue(Exit.isSuccess(yield* inTime(Fiber.join(first))))
      }).pipe(Effect.provide(client()))
      assert.deepStrictEqual(puts(arrived).map(({ commandId: { answered, sequence } }) => [sequence, answered]), [
        [1, 0],
        [2, 1],
        [3, 1],
        [3, 2]
      ])
    }))

  it.effect("of sessions that is full refuses the write, which was not sent", () =>
    Effect.gen(function*() {
      const { arrived, client, nodes } = yield* cluster
      for (const node of nodes) {
        node.write = (count) =>
          Effect.succeed(Array.from({ length: count }, () =>
            encodeReply({
              _tag: "RefusedReply",
              revision: 0,
              reason: "overloaded",
              field: "maxSessions",
              text: "is reached",
              current: 10_000,
              maximum: 10_000
            })))
      }
      const error = errorOf(yield* inTime(put()).pipe(Effect.provide(client())))
      assert.instanceOf(error, Overloaded)
      assert.deepInclude(error, { limit: "maxSessions" })
      assert.isEmpty(puts(arrived))
    }))
})

describe("a call", () => {
  it.effect("carries the writes of one moment in their order", () =>
    Effect.gen(function*() {
      const { arrived, client } = yield* cluster
      const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`)
      const results = yield* Effect.forEach(keys, put, { concurrency: "unbounded" }).pipe(Effect.provide(client()))
      assert.deepStrictEqual(results.map(({ revision }) => revision), keys.map((_, i) => i + 1))
      assert.deepStrictEqual(puts(arrived).map(({ commandId }) => commandId.sequence), keys.map((_, i) => i + 1))
    }))
})

describe("a client that closes", () => {
  it.effect("closes its session, unless a write has no answer", () =>
    Effect.gen(function*() {
      const { arrived, client, nodes } = yield* cluster
      yield* put().pipe(Effect.provide(client()))
      assert.deepStrictEqual(tagsOf(arrived), ["OpenSession", "Put", "CloseSession"])
      arrived.length = 0
      once(nodes[0], () => Effect.never)
      const error = yield* Effect.scoped(
        Effect.gen(function*() {
          const context = yield* Layer.build(client())
          const write = yield* Effect.forkDetach(Effect.flip(Effect.provide(put(), context)))
          while (puts(arrived).length === 0) yield* TestClock.adjust(10)
          return write
        })
      ).pipe(Effect.flatMap(Fiber.join))
      assert.instanceOf(error, Indeterminate)
      assert.deepStrictEqual(tagsOf(arrived), ["OpenSession", "Put"])
    }))

  it.effect("opens no session when it only reads, or is told to do without", () =>
    Effect.gen(function*() {
      const { arrived, client } = yield* cluster
      yield* put().pipe(Effect.provide(client({ sessions: false })))
      assert.deepStrictEqual(puts(arrived).map(({ commandId }) => commandId.session), [0])
      assert.strictEqual(arrived.length, 1)
    }))
})

describe("large writes at a node that is slow", () => {
  /** What carries out a mebibyte in so many milliseconds, one call after the other. */
  const slow = (store: FakeStore, msPerMebibyte: number) => {
    const turn = Semaphore.makeUnsafe(1)
    const seen = { bytes: 0 }
    const write: Write = (_, commands) => {
      const bytes = commands.reduce((sum, { byteLength }) => sum + byteLength, 0)
      seen.bytes += bytes
      return turn.withPermit(
        Effect.andThen(Effect.sleep(msPerMebibyte * bytes / 1_048_576), Effect.suspend(() => store.carryOut(commands)))
      )
    }
    return { seen, write }
  }
  const mebibyte = new Uint8Array(1_048_576 - 1_024)
  const large = (i: number) =>
    KeyValue.use((kv) =>
      kv.transact({ do: [1, 2, 3].map((part) => Op.put(`${i} ${part}`, mebibyte)) }, { timeoutMs: 60_000 })
    )

  it.effect("are sent once, when it only takes its time", () =>
    Effect.gen(function*() {
      const { client, nodes, store } = yield* cluster
      const { seen, write } = slow(store, 150)
      for (const node of nodes) node.write = write
      yield* Effect.gen(function*() {
        const exit = yield* inTime(
          Effect.forEach(Array.from({ length: 12 }, (_, i) => i), large, { concurrency: "unbounded" })
        )
        assert.isTrue(Exit.isSuccess(exit))
        // Closing the session takes no time.
        for (const node of nodes) node.write = store.answer
      }).pipe(Effect.provide(client()))
      const mebibytes = seen.bytes / 1_048_576
      assert.isAtMost(mebibytes, 1.2 * 36, "of which 36 are needed")
    }))

  it.effect("are sent to another one when it is silent, in the time of one operation", () =>
    Effect.gen(function*() {
      const { client, nodes } = yield* cluster
      yield* Effect.gen(function*() {
        yield* put()
        nodes[0].write = () => Effect.never
        const transaction = KeyValue.use((kv) => kv.transact({ do: [Op.put("large", mebibyte)] }))
        const exit = yield* inTime(Effect.all([1, 2, 3, 4].map(() => transaction), { concurrency: "unbounded" }))
        assert.isTrue(Exit.isSuccess(exit))
      }).pipe(Effect.provide(client()))
    }))
})
