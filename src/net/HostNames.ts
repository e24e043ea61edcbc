/**
 * The addresses of host names, for everything in this process that connects or listens. A look-up may take as long as
 * the resolver of the system likes, cannot be cancelled, and is wanted again with every attempt to connect. So:
 *
 * - each name has at most one look-up in flight, which all who ask share;
 * - a caller waits a limited time, and not at all for a name whose last look-up failed;
 * - the last good addresses are kept: they serve while a look-up takes long or fails. Who answers there says who it is
 *   in its `Hello`, so that an address which has gone to another machine does no harm.
 */
import { Data, Effect } from "effect"
import { errorCode } from "../ErrorCode.ts"
import type { Address, NameService, Purpose } from "./NameService.ts"
import { systemNameService } from "./NameService.ts"
import { errorText } from "../ErrorText.ts"

/** The addresses of a host name are not known, and none were before. */
export class HostNameError extends Data.TaggedError("HostNameError")<{
  readonly host: string
  /** As `getaddrinfo` names it: "ENOTFOUND" when there is no such name, "EAI_AGAIN" when it cannot be said now. */
  readonly code: string
  readonly problem: string
}> {
  override get message() {
    return `the host name ${this.host} ${this.problem}`
  }
}

/** Milliseconds for which the outcome of a look-up is not asked for again. */
export const freshMs = 1_000

/** Milliseconds of a look-up after which those who ask get the last good addresses. */
export const patienceMs = 250

/** Milliseconds of a look-up after which those who ask get an error, when no good addresses are known. */
export const maxWaitMs = 1_000

/** Names that are kept at most. They come from the configuration, and from nodes that name the leader. */
const maxNames = 256

type Found = ReadonlyArray<Address> | HostNameError

interface Waiter {
  readonly done: (found: Found) => void
  readonly cancel: () => void
}

interface Flight {
  readonly sinceMs: number
  readonly waiters: Set<Waiter>
}

/** What is known of one name. */
interface Name {
  good: ReadonlyArray<Address> | undefined
  /** Why the last look-up that ended failed; absent when it did not. */
  failure: HostNameError | undefined
  endedMs: number
  flight: Flight | undefined
}

/** What is needed of time. */
export interface Time {
  readonly nowMs: () => number
  /** Calls back after `ms` milliseconds unless it is cancelled. */
  readonly after: (ms: number, then: () => void) => () => void
}

const systemTime: Time = {
  nowMs: () => performance.now(),
  after: (ms, then) => {
    const timer = setTimeout(then, ms)
    return () => clearTimeout(timer)
  }
}

/** What Node passes to a `lookup` of its sockets, and takes from it. */
interface SocketLookupOptions {
  readonly all?: boolean | undefined
  readonly family?: number | string | undefined
}
type SocketLookupDone = (error: Error | null, address: string | Array<Address>, family?: number) => void

export class HostNames {
  private readonly service: NameService
  private readonly time: Time
  private readonly names = new Map<string, Name>()

  constructor(service: NameService, time: Time = systemTime) {
    this.service = service
    this.time = time
  }

  /** The `lookup` of a socket that connects. */
  readonly lookup = (host: string, options: SocketLookupOptions, callback: SocketLookupDone): void => {
    // A socket expects no answer before its `connect` has returned.
    const done: SocketLookupDone = (...answer) => queueMicrotask(() => callback(...answer))
    this.find(host, "connect", maxWaitMs, (found) => {
      if (found instanceof HostNameError) return done(found, [])
      const { family } = options
      const wanted = family === 4 || family === 6 ? found.filter((one) => one.family === family) : found
      const [first] = wanted
      if (first === undefined) {
        return done(new HostNameError({ host, code: "ENOTFOUND", problem: `has no IPv${family} address` }), [])
      }
      return options.all === true ? done(null, [...wanted]) : done(null, first.address, first.family)
    })
  }

  /**
   * The addresses to listen on for `host`, within `waitMs` milliseconds, 10 s unless given; not all of them need be
   * this machine's.
   */
  readonly toListen = (host: string, waitMs = 10_000): Effect.Effect<ReadonlyArray<string>, HostNameError> =>
    Effect.callback((resume) =>
      this.find(host, "listen", waitMs, (found) =>
        resume(
          found instanceof HostNameError
            ? Effect.fail(found)
            : Effect.succeed([...new Set(found.map(({ address }) => address))])
        ))
    )

  /** Calls back with the addresses, at once or within `waitMs` milliseconds. */
  private find(host: string, purpose: Purpose, waitMs: number, done: (found: Found) => void): void {
    if (isLocalhost(host)) return done(loopback)
    const name = this.nameOf(`${purpose} ${host}`)
    const nowMs = this.time.nowMs()
    if (name.flight === undefined) {
      if (nowMs - name.endedMs < freshMs) return done(outcome(name, host))
      name.flight = { sinceMs: nowMs, waiters: new Set() }
      this.start(name, host, purpose)
    }
    const { flight } = name
    // It may have ended at once.
    if (flight === undefined) return done(outcome(name, host))
    const leftMs = flight.sinceMs + (name.good === undefined ? waitMs : patienceMs) - nowMs
    if (name.failure !== undefined || leftMs <= 0) return done(outcome(name, host))
    const waiter: Waiter = {
      done,
      cancel: this.time.after(leftMs, () => {
        flight.waiters.delete(waiter)
        done(outcome(name, host))
      })
    }
    flight.waiters.add(waiter)
  }

  private start(name: Name, host: string, purpose: Purpose): void {
    const { flight } = name
    const end = () => {
      name.endedMs = this.time.nowMs()
      name.flight = undefined
      for (const waiter of flight?.waiters ?? []) {
        waiter.cancel()
        waiter.done(outcome(name, host))
      }
    }
    this.service(host, purpose).then(
      (addresses) => {
        name.good = addresses
        name.failure = undefined
        end()
      },
      (error: unknown) => {
        name.failure = failureOf(host, error)
        end()
      }
    )
  }

  private nameOf(key: string): Name {
    const known = this.names.get(key)
    if (known !== undefined) return known
    for (const [other, { flight }] of this.names) {
      if (this.names.size < maxNames) break
      if (flight === undefined) this.names.delete(other)
    }
    const name: Name = { good: undefined, failure: undefined, endedMs: Number.NEGATIVE_INFINITY, flight: undefined }
    this.names.set(key, name)
    return name
  }
}

/**
 * This machine itself, in both families and without a look-up: what the system gives for `localhost` is one family or
 * both, and a server must listen where others look.
 */
const loopback: ReadonlyArray<Address> = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }]

const isLocalhost = (host: string): boolean => /^localhost\.?$/i.test(host)

/** The best that can be said of a name now. */
const outcome = (name: Name, host: string): Found =>
  name.good ?? name.failure ?? new HostNameError({ host, code: "EAI_AGAIN", problem: "is still being looked up" })

const failureOf = (host: string, error: unknown): HostNameError => {
  if (error instanceof HostNameError) return error
  const code = errorCode(error) ?? "EAI_AGAIN"
  return new HostNameError({
    host,
    code,
    problem: code === "ENOTFOUND"
      ? "is unknown"
      : `cannot be looked up now: ${errorText(error)}`
  })
}

/** The names of this process: the thread pool that look-ups run in is one for the process, too. */
export const hostNames = new HostNames(systemNameService())
