/**
 * Where a port listens. A host name may have several addresses, and a client tries one after the other: a port listens
 * on each of them that this machine has, under one number.
 */
import { Data, Effect, Exit, Scope } from "effect"
import { errorCode } from "../ErrorCode.ts"
import { systemCode } from "./CallFailure.ts"
import { HostNameError, hostNames } from "./HostNames.ts"

/** The port cannot be listened on. */
export class ListenError extends Data.TaggedError("ListenError")<{
  /** Which of the node's ports: "client", "peer" or "http". */
  readonly port: string
  /** `host:port`. */
  readonly address: string
  readonly cause: unknown
}> {
  override get message() {
    const text = describeCause(this.cause)
    const inUse = /EADDRINUSE/.test(text)
    return inUse
      ? `the ${this.port} address ${this.address} is in use; stop the process that holds it, or give this node ` +
        `another ${this.port} port`
      : `cannot listen on the ${this.port} address ${this.address}: ${text}${
        this.cause instanceof HostNameError ? "; listen on a number, or name this host in /etc/hosts" : ""
      }`
  }
}

/** Where a server really listens. */
export interface BoundAddress {
  /** As it was asked for. */
  readonly host: string
  readonly port: number
  /** The addresses of the host that it listens on, at least one. */
  readonly addresses: ReadonlyArray<string>
}

/** Addresses of one name that are listened on at most; each costs a descriptor. */
const maxAddresses = 16

/** How often the system is asked for a port that is free on all addresses. */
const maxAttempts = 10

/**
 * The address is none of this machine's: a name may have those of others, a machine may have no IPv6, and a link-local
 * address needs an interface beside it.
 */
const notOurs: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL"])

/** `host:port`, with IPv6 addresses in brackets. */
export const formatAddress = (host: string, port: number): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`

/** For a line of the log: `127.0.0.1:7001 and [::1]:7001`. */
export const formatBound = ({ addresses, port }: BoundAddress): string =>
  addresses.map((address) => formatAddress(address, port)).join(" and ")

export interface ListenOptions {
  /** Which of the node's ports. */
  readonly name: string
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

/** One address that is listened on, with what belongs to it. */
interface Listener<A> {
  readonly address: string
  readonly port: number
  readonly server: A
}

export interface Listening<A> {
  readonly bound: BoundAddress
  /** One for each address. */
  readonly servers: ReadonlyArray<A>
}

/** Has `bind` listen on every address of the host that is this machine's, until the scope closes. */
export const listen = <A, E, R>(
  { host, name, port }: ListenOptions,
  bind: (address: string, port: number) => Effect.Effect<{ readonly port: number; readonly server: A }, E, R>
): Effect.Effect<Listening<A>, ListenError, R | Scope.Scope> => {
  const failed = (address: string, cause: unknown) => new ListenError({ port: name, address, cause })
  const attempt = Effect.fnUntraced(function*(addresses: ReadonlyArray<string>) {
    const listeners: Array<Listener<A>> = []
    let absent: ListenError | undefined
    for (const address of addresses) {
      if (listeners.length === maxAddresses) break
      const wanted = listeners[0]?.port ?? port
      const bound = yield* Effect.match(bind(address, wanted), {
        onSuccess: (listener) => listener,
        onFailure: (cause) => {
          const where = formatAddress(address, wanted)
          return failed(address === host ? where : `${where} (${host})`, cause)
        }
      })
      if (!(bound instanceof ListenError)) listeners.push({ address, ...bound })
      else {
        if (!notOurs.has(systemCode(bound.cause) ?? "")) return yield* bound
        absent ??= bound
        yield* Effect.logDebug(`the ${name} port leaves out ${bound.address}: it is no address of this machine`)
      }
    }
    const [first] = listeners
    if (first === undefined) return yield* absent ?? failed(formatAddress(host, port), new Error("it has no address"))
    return {
      bound: { host, port: first.port, addresses: listeners.map(({ address }) => address) },
      servers: listeners.map(({ server }) => server)
    } satisfies Listening<A>
  })
  /** What listens already stops before the next attempt. */
  const attemptAlone = (addresses: ReadonlyArray<string>) =>
    Effect.flatMap(
      Effect.scope,
      (outer) =>
        Effect.flatMap(Scope.fork(outer), (scope) =>
          Effect.onError(Scope.provide(attempt(addresses), scope), (cause) =>
            Scope.close(scope, Exit.failCause(cause))))
    )
  const addresses = Effect.mapError(
    hostNames.toListen(host),
    (cause) => failed(formatAddress(host, port), cause)
  )
  return Effect.flatMap(addresses, (all) => {
    const again = (left: number): ReturnType<typeof attemptAlone> =>
      Effect.catch(attemptAlone(all), (error) =>
        // The number that the system chose for one address may be taken on another.
        port === 0 && left > 1 && systemCode(error.cause) === "EADDRINUSE" ? again(left - 1) : Effect.fail(error))
    return again(maxAttempts)
  })
}

const describeCause = (cause: unknown): string => {
  const texts: Array<string> = []
  let current: unknown = cause
  while (current instanceof Error && texts.length < 5) {
    const code = errorCode(current)
    if (code !== undefined) texts.push(code)
    texts.push(current.message)
    current = current.cause
  }
  return texts.length === 0 ? String(cause) : texts.join(": ")
}
