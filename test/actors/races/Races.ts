/**
 * A seeded life of runners' storages over one store in memory: shards are taken, refreshed, lost and released, messages are
 * saved, read, answered and cleared, at once and in an order that the seed decides. Time is simulated as well, so a seed
 * gives the same life each time. `History.ts` and the ends of requests say whether it was one that must not be.
 */
import { Clock, Context, Effect, Fiber, Layer, Random as EffectRandom, References, Scheduler, Stream } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardId, ShardingConfig, Snowflake } from "effect/cluster"
import type { MessageStorage } from "effect/cluster"
import {
  addToTransaction,
  HeldShards,
  layerRunnerStorage,
  makeEncodedMessageStorage
} from "../../../src/actors/index.ts"
import { Microtask } from "../../../src/client/session/Microtask.ts"
import { Op } from "../../../src/client/Txn.ts"
import { Watch } from "../../../src/client/Watch.ts"
import { RandomBytes } from "../../../src/RandomBytes.ts"
import type { Engine, World as SimWorld } from "../../simulation/engine/Engine.ts"
import { makeClock } from "../../simulation/engine/SimClock.ts"
import { SimProcess } from "../../simulation/engine/SimProcess.ts"
import { Random } from "../../simulation/Random.ts"
import type { Services } from "../Stores.ts"
import { memory } from "../Stores.ts"
import type { Probe } from "./History.ts"
import { cluster, History, probes, statePrefix } from "./History.ts"
import { Way } from "./Way.ts"

const shards = ["default:1", "default:2", "default:3"]
const runners = 3
const senders = 2
const messagesOfSender = 24
const lockMs = 2_000
const roughMs = 12_000

/** How long the last runner may take to process what is left, in simulated milliseconds. */
const calmMs = 60_000

/** How long all of it may take, in simulated milliseconds: a retry that does not end would go on for ever. */
const lifeMs = 600_000

class World {
  readonly random: Random
  readonly authors = new Map<number, Way>()
  /** The shard of each request. */
  readonly shardOf = new Map<string, string>()
  readonly history: History
  readonly problems: Array<string> = []
  /** Requests whose saving was acknowledged, and when. */
  readonly saved = new Set<string>()
  /** When requests are due that are not at once. */
  readonly dueMs = new Map<string, number>()
  /** The request that each primary key belongs to. */
  readonly keyed = new Map<string, string>()
  over = false
  private ids = 1_000

  readonly inject: Engine<Probe>["inject"]

  constructor({ inject, probes, random, trace }: Engine<Probe>) {
    this.random = random
    this.inject = inject
    this.history = new History(this.authors, this.shardOf, probes, trace)
  }

  get id(): string {
    this.ids += 1
    return String(this.ids)
  }

  check(holds: boolean, problem: string): void {
    if (!holds) this.problems.push(problem)
  }
}

type Encoded = MessageStorage.Encoded

const addressOf = (shard: string) => ({
  shardId: { group: "default", id: Number(shard.split(":")[1]) },
  entityType: "T",
  entityId: `of ${shard}`
})

/** Saves messages and acknowledges chunks; what fails is sent again as it was. */
const sender = Effect.fnUntraced(function*(world: World, way: Way, services: Services) {
  const { random } = world
  const context = yield* Layer.build(Layer.fresh(Layer.provideMerge(HeldShards.layer, way.over(services))))
  const { encoded } = yield* Effect.provide(makeEncodedMessageStorage({ cluster }), context)
  const until = <A, E>(effect: Effect.Effect<A, E>) => Effect.retry(effect, { times: 1_000 })
  const own: Array<string> = []
  for (let i = 0; i < messagesOfSender; i++) {
    yield* Effect.sleep(random.below(2 * roughMs / messagesOfSender))
    // Two senders have some keys in common.
    const key = random.chance(0.5) ? random.below(messagesOfSender) : undefined
    const id = world.id
    const shard = key === undefined ? random.pick(shards) : shards[key % shards.length] as string
    // Some do not begin with their entity.
    const primaryKey = key === undefined ? null : `T/${key % 5 === 0 ? "e" : addressOf(shard).entityId}/Do/${key}`
    world.shardOf.set(id, shard)
    const deliverAt = random.chance(0.2) ? (yield* Clock.currentTimeMillis) + random.below(2_000) : null
    if (deliverAt !== null) world.dueMs.set(id, deliverAt)
    const answer = yield* until(encoded.saveEnvelope({
      envelope: {
        _tag: "Request",
        requestId: id,
        address: addressOf(shard),
        tag: "Do",
        payload: random.below(3),
        headers: {}
      },
      primaryKey,
      deliverAt
    }))
    const original = answer._tag === "Success" ? id : String(answer.originalId)
    if (answer._tag === "Success") {
      world.saved.add(id)
      own.push(id)
    }
    if (primaryKey !== null) {
      const before = world.keyed.get(primaryKey) ?? original
      world.check(before === original, `${primaryKey} belongs to ${before} and to ${original}`)
      world.keyed.set(primaryKey, original)
    } else world.check(answer._tag === "Success", `${id} has no primary key and is a duplicate of ${original}`)
    const some = own[random.below(own.length)]
    if (some === undefined) continue
    if (random.chance(0.1)) {
      yield* until(encoded.saveEnvelope({
        envelope: {
          _tag: "Interrupt",
          id: world.id,
          requestId: some,
          address: addressOf(world.shardOf.get(some) ?? "")
        },
        primaryKey: null,
        deliverAt: null
      }))
    }
    const exit = world.history.exitOf(some)
    if (exit !== undefined && random.chance(0.3)) {
      way.clearing.set(some, exit)
      yield* until(encoded.clearReplies(Snowflake.Snowflake(some), { expectedReplyId: Snowflake.Snowflake(exit) }))
    }
  }
})

/** Acknowledges the chunks of every request, until the end. */
const acknowledger = Effect.fnUntraced(function*(world: World, way: Way, services: Services) {
  const context = yield* Layer.build(Layer.fresh(Layer.provideMerge(HeldShards.layer, way.over(services))))
  const { encoded } = yield* Effect.provide(makeEncodedMessageStorage({ cluster }), context)
  const done = new Set<string>()
  while (!world.over) {
    yield* Effect.sleep(100)
    const ids = [...world.history.replied].filter((id) => world.history.exitOf(id) === undefined)
    const [first, ...rest] = ids
    if (first === undefined) continue
    const replies = yield* Effect.orElseSucceed(encoded.repliesFor([first, ...rest]), () => [])
    for (const reply of replies) {
      if (reply._tag !== "Chunk" || done.has(reply.id)) continue
      yield* encoded.saveEnvelope({
        envelope: {
          _tag: "AckChunk",
          id: world.id,
          requestId: reply.requestId,
          replyId: reply.id,
          address: addressOf(world.shardOf.get(reply.requestId) ?? "")
        },
        primaryKey: null,
        deliverAt: null
      }).pipe(Effect.tap(() => Effect.sync(() => done.add(reply.id))), Effect.ignore)
    }
  }
})

/** A runner's storages, and what it does with them. Sometimes it commits without asking for its lock before. */
class RunnerLife {
  private readonly world: World
  readonly way: Way
  private readonly encoded: Encoded
  private readonly locks: RunnerStorage.RunnerStorage["Service"]
  private readonly address: RunnerAddress.RunnerAddress
  /** The locks that the storages count on. */
  private readonly table: HeldShards["Service"]
  /** What was handed out since its shard was taken. */
  private readonly claimed = new Set<string>()
  private held = new Set<string>()

  private constructor(
    world: World,
    way: Way,
    encoded: Encoded,
    locks: RunnerStorage.RunnerStorage["Service"],
    address: RunnerAddress.RunnerAddress,
    table: HeldShards["Service"]
  ) {
    this.world = world
    this.way = way
    this.encoded = encoded
    this.locks = locks
    this.address = address
    this.table = table
  }

  static readonly make = Effect.fnUntraced(function*(world: World, way: Way, services: Services, port: number) {
    const context = yield* Layer.build(Layer.fresh(
      layerRunnerStorage({ cluster }).pipe(
        Layer.provideMerge(HeldShards.layer),
        Layer.provideMerge(way.over(services)),
        Layer.provide(ShardingConfig.layer({ shardLockExpiration: lockMs }))
      )
    ))
    const { encoded } = yield* Effect.provide(makeEncodedMessageStorage({ cluster }), context)
    const locks = Context.get(context, RunnerStorage.RunnerStorage)
    const address = RunnerAddress.make("runner", port)
    const runner = Runner.make({ address, groups: ["default"], weight: 1 })
    yield* Effect.retry(locks.register(runner, true), { times: 100 })
    return new RunnerLife(world, way, encoded, locks, address, Context.get(context, HeldShards))
  })

  private shard(name: string) {
    return ShardId.make("default", Number(name.split(":")[1]))
  }

  /** One thing after another, until the process ends. */
  readonly work = (ends: () => boolean) =>
    Effect.gen({ self: this }, function*() {
      const { random } = this.world
      while (!ends()) {
        yield* this.way.running
        const step = this.way.calm
          ? this.take
          : { take: this.take, refresh: this.refresh, read: this.read, release: this.release, pause: this.pause }[
            random.weighted([["take", 3], ["refresh", 5], ["read", 8], ["release", 1], ["pause", 1]])
          ]
        // A store that does not answer is asked again.
        yield* Effect.ignore(step)
        if (this.way.calm) yield* Effect.ignore(Effect.andThen(this.refresh, this.read))
        yield* Effect.sleep(random.below(this.way.calm ? 50 : 250))
      }
    })

  private readonly take = Effect.suspend(() => {
    const { random } = this.world
    const wanted = shards.filter((name) => !this.held.has(name) && (this.way.calm || random.chance(0.5)))
    const [first, ...rest] = wanted.map((name) => this.shard(name))
    if (first === undefined) return Effect.void
    return Effect.flatMap(this.locks.acquire(this.address, [first, ...rest]), (got) => {
      const names = got.map(({ group, id }) => `${group}:${id}`)
      for (const name of names) {
        this.held.add(name)
        for (const id of this.claimed) if (this.world.shardOf.get(id) === name) this.claimed.delete(id)
      }
      const [one, ...others] = names
      return one === undefined ? Effect.void : this.encoded.resetShards([one, ...others])
    })
  })

  private readonly refresh = Effect.suspend(() =>
    Effect.map(this.locks.refresh(this.address, [...this.held].map((name) => this.shard(name))), (kept) => {
      this.held = new Set(kept.map(({ group, id }) => `${group}:${id}`))
    })
  )

  private readonly release = Effect.suspend(() => {
    const [name] = this.held
    if (name === undefined) return Effect.void
    this.held.delete(name)
    return this.locks.release(this.address, this.shard(name))
  })

  /** Long enough that its locks may end, if it does nothing meanwhile. */
  private readonly pause = Effect.suspend(() => Effect.sleep(this.world.random.below(2 * lockMs)))

  private readonly read = Effect.gen({ self: this }, function*() {
    const { dueMs, history, random, saved, shardOf } = this.world
    const asked = [...this.held]
    const [first, ...rest] = asked
    if (first === undefined) return
    const limit = random.chance(0.3) ? 1 + random.below(3) : 100
    const now = yield* Clock.currentTimeMillis
    const known = [...saved].filter((id) =>
      !this.claimed.has(id) && asked.includes(shardOf.get(id) ?? "") && (dueMs.get(id) ?? 0) <= now
    )
    const locks = new Map(asked.map((name) => [name, this.table.lockOf(name)]))
    const found = yield* this.encoded.unprocessedMessages([first, ...rest], now, { limit })
    const isSame = (id: string) => {
      const name = shardOf.get(id) ?? ""
      return this.table.lockOf(name) === locks.get(name)
    }
    const requests = found.flatMap(({ envelope }) => envelope._tag === "Request" ? [envelope.requestId] : [])
    const places = requests.map((id) => history.places.get(String(id)) ?? Infinity)
    this.world.check(
      places.every((place, i) => i === 0 || place > (places[i - 1] as number)),
      `${this.way.name} read requests out of their order: ${requests.join(", ")}`
    )
    for (const id of requests) {
      this.world.check(
        asked.includes(this.world.shardOf.get(String(id)) ?? ""),
        `${this.way.name} read ${id}, whose shard it did not ask for`
      )
      this.claimed.add(String(id))
    }
    if (found.length < limit) {
      // A shard whose lock changed meanwhile is read again by its next owner, or by this runner's next reading.
      const missed = known.filter((id) =>
        isSame(id) && !history.replied.has(id) && !requests.some((read) => String(read) === id)
      )
      this.world.check(missed.length === 0, `${this.way.name} did not read ${missed.join(", ")}, saved before it asked`)
    }
    yield* Effect.forEach(found, ({ envelope, lastSentReply }) =>
      envelope._tag === "Request"
        ? Effect.ignore(this.answer(String(envelope.requestId), lastSentReply._tag === "Some"))
        : Effect.void, { concurrency: 4, discard: true })
  })

  /** Answers a request: some with a chunk before the exit, some with a state in the same commit. */
  private readonly answer = Effect.fnUntraced({ self: this }, function*(
    this: RunnerLife,
    id: string,
    hasChunk: boolean
  ) {
    const { random, shardOf } = this.world
    const name = shardOf.get(id) ?? ""
    yield* Effect.sleep(random.below(this.way.calm ? 10 : 400))
    if (Number(id) % 4 === 0 && !hasChunk) {
      yield* this.store(
        id,
        this.encoded.saveReply({ _tag: "Chunk", requestId: id, id: this.world.id, sequence: 0, values: [1] })
      )
      // It is read once more when the chunk is acknowledged.
      yield* this.forget(id)
      return
    }
    if (random.chance(0.7)) {
      const [held] = yield* this.locks.refresh(this.address, [this.shard(name)])
      if (held === undefined) return yield* this.forget(id)
    }
    const reply = this.world.id
    this.way.replying.set(id, reply)
    const exit = this.encoded.saveReply({
      _tag: "WithExit",
      requestId: id,
      id: reply,
      exit: { _tag: "Success", value: this.way.name }
    })
    const whole = Number(id) % 3 === 0
      ? this.encoded.withTransaction(
        Effect.andThen(Effect.orDie(addToTransaction({ do: [Op.put(`${statePrefix}${id}`, reply)] })), exit)
      )
      : exit
    yield* this.store(id, whole)
  })

  /** As Sharding does: a few times, and then the request is read once more. */
  private store<E>(id: string, effect: Effect.Effect<void, E>) {
    return Effect.catchCause(Effect.retry(effect, { times: 3 }), () => this.forget(id))
  }

  private forget(id: string) {
    this.claimed.delete(id)
    return this.encoded.resetRequests([Snowflake.Snowflake(id)])
  }
}

const life = Effect.fnUntraced(function*(world: World) {
  const { history, random } = world
  const services = yield* memory
  yield* Effect.gen(function*() {
    const watch = yield* Watch
    yield* Effect.forkChild(
      Stream.runForEach(
        watch.changes({ prefix: "" }, { fromRevision: 1 }),
        ({ events, revision }) => Effect.sync(() => history.saw(revision, events))
      ),
      { startImmediately: true }
    )
    const ways: Array<Way> = []
    const way = (name: string) => {
      const made = new Way(name, random, world.authors)
      ways.push(made)
      return made
    }
    const phase = { rough: true }
    const sending = yield* Effect.forkChild(Effect.all(
      Array.from({ length: senders }, (_, i) => sender(world, way(`sender ${i}`), services)),
      { concurrency: "unbounded" }
    ))
    yield* Effect.forkChild(acknowledger(world, way("acknowledger"), services))
    // Each at an address of its own; a process that was killed is followed by another one at the same address.
    for (let port = 1; port <= runners; port++) {
      yield* Effect.forkChild(Effect.gen(function*() {
        for (let run = 1; phase.rough; run++) {
          const own = way(`runner ${port}.${run}`)
          const endsMs = (yield* Clock.currentTimeMillis) + 1_000 + random.below(roughMs)
          const clock = yield* Clock.Clock
          const runner = yield* RunnerLife.make(world, own, services, port)
          yield* runner.work(() => !phase.rough || clock.currentTimeMillisUnsafe() > endsMs)
          own.stop()
        }
      }))
    }
    const endMs = (yield* Clock.currentTimeMillis) + roughMs
    while ((yield* Clock.currentTimeMillis) < endMs) {
      yield* Effect.sleep(random.below(1_500))
      const victim = random.pick(ways.filter(({ name }) => name.startsWith("runner")))
      const wasLast = ways.findLast(({ name }) => name.split(".")[0] === victim.name.split(".")[0]) === victim
      if (!wasLast) continue
      world.inject(() => victim.stop())
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(random.below(3 * lockMs)), Effect.sync(() => victim.goOn())))
    }
    phase.rough = false
    yield* Fiber.join(sending)
    for (const one of ways) {
      if (!one.name.startsWith("runner")) one.calm = true
    }
    // A last runner has all shards and processes what is left.
    const last = way("last runner")
    last.calm = true
    const runner = yield* RunnerLife.make(world, last, services, runners + 1)
    yield* Effect.forkChild(runner.work(() => world.over))
    const left = () => [...world.saved].filter((id) => history.exitOf(id) === undefined)
    const lastMs = (yield* Clock.currentTimeMillis) + calmMs
    while (left().length > 0 && (yield* Clock.currentTimeMillis) < lastMs) yield* Effect.sleep(100)
    world.check(left().length === 0, `requests were forgotten: ${left().join(", ")}`)
    world.over = true
  }).pipe(Effect.provide(services))
}, Effect.scoped)

const raceOf = (engine: Engine<Probe>) => {
  const process = new SimProcess(engine.timeline)
  const world = new World(engine)
  let end: string | undefined
  // Apart from the world's choices, so that one more or one less of these leaves the choices as they are.
  const inside = new Random(engine.seed)
  const context = Context.empty().pipe(
    Context.add(Scheduler.Scheduler, process.queue),
    Context.add(Microtask, (task) => process.queue.scheduleTask(task)),
    Context.add(EffectRandom.Random, {
      nextIntUnsafe: () => inside.below(2 ** 32) - 2 ** 31,
      nextDoubleUnsafe: () => inside.next()
    }),
    Context.add(RandomBytes, (size) => Uint8Array.from({ length: size }, () => inside.below(256))),
    Context.add(Clock.Clock, makeClock(process, { wallOffsetMs: 1_800_000_000_000, rate: 1 })),
    Context.add(References.MinimumLogLevel, "None" as const)
  )
  const begin = () =>
    process.enter(() => {
      Effect.runForkWith(context)(life(world)).addObserver((exit) => {
        end = exit._tag === "Success" ? "" : String(exit.cause)
      })
    })
  return {
    begin,
    isOver: () => end !== undefined,
    withinMs: lifeMs,
    end: () => {
      const problems = [...world.problems, ...world.history.problems]
      if (end !== "") problems.push(end ?? `it has not ended after ${lifeMs} ms`)
      if (problems.length > 0) throw new Error(problems.slice(0, 5).join("; "))
    }
  }
}

export const races: SimWorld<Probe> = {
  script: "simulate:actors",
  probes,
  showsTime: false,
  make: (engine) => [raceOf(engine)]
}
