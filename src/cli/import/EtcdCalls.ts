/**
 * Calls of etcd's JSON gateway: at any of its endpoints, repeated while etcd has no leader or a member is down, with a
 * token that is asked for again when it has ended.
 */
import { Clock, Effect, Redacted } from "effect"
import type { Agent } from "node:http"
import { Agent as SecureAgent } from "node:https"
import { Agent as PlainAgent } from "../../http/NodeHttp.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import type { Answer } from "./EtcdExchange.ts"
import { exchange, ExchangeFailed } from "./EtcdExchange.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import { EtcdCompacted, EtcdRefused, EtcdUnreachable, EtcdUnsupported } from "./ImportFailures.ts"

export interface EtcdTls {
  readonly authorities?: string | undefined
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

export interface EtcdOptions {
  readonly endpoints: ReadonlyArray<URL>
  readonly tls: EtcdTls
  readonly user?: { readonly name: string; readonly password: Redacted.Redacted } | undefined
  /** Milliseconds for one answer, and for the first call to succeed. */
  readonly timeoutMs: number
  /** Milliseconds for which a later call is repeated. */
  readonly patienceMs: number
}

/** Most bytes of an answer. A key with its value has 1.5 MiB in etcd unless configured otherwise, and 2 in JSON. */
export const maxAnswerBytes = 16 * 1024 * 1024

/** The pause before a call is repeated at the next endpoint, in milliseconds. */
const pauseMs = 200

/** Characters of an answer that is no JSON which an error repeats. */
const shownCharacters = 200

/** Codes of gRPC, as the gateway gives them in its errors. */
const codes = { deadlineExceeded: 4, permissionDenied: 7, resourceExhausted: 8, unavailable: 14, unauthenticated: 16 }

type Fields = Readonly<Record<string, unknown>>

const parse = (text: string): Fields | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? value as Fields : undefined
  } catch {
    return undefined
  }
}

/** What a refusal means for the user of this command. */
const advised = (reason: string, code: number, named: boolean): string => {
  if (/CommonName of client/.test(reason)) {
    return `${reason}. An etcd with users refuses a client of its JSON gateway whose certificate has a common name: ` +
      "show one without (--etcd-cert), and give --user and --password-file"
  }
  if (/user name is empty/.test(reason)) {
    return `${reason}. It wants a user: give --user and --password-file. Its JSON gateway takes no name from a ` +
      "certificate"
  }
  if (/required revision is a future revision/.test(reason)) {
    return `${reason}. Its data was replaced or lost since the import began, or one of --from is of another cluster. ` +
      "See what it has with --dry-run --restart"
  }
  if (code === codes.permissionDenied && named) return `${reason}. The user needs to read all of --prefix`
  return reason
}

export class EtcdCalls {
  private readonly options: EtcdOptions
  private readonly agent: Agent | SecureAgent
  private readonly plain: Agent
  private token: string | undefined
  /** Which endpoint answered last. */
  private at = 0

  constructor(options: EtcdOptions) {
    const { authorities, certificate, key } = options.tls
    this.options = options
    this.plain = new PlainAgent({ keepAlive: true })
    this.agent = new SecureAgent({
      keepAlive: true,
      ...authorities === undefined ? {} : { ca: authorities },
      ...certificate === undefined ? {} : { cert: certificate },
      ...key === undefined ? {} : { key }
    })
  }

  /** Calls that are made at the same time share connections, and these are closed here. */
  readonly close = Effect.sync(() => {
    this.plain.destroy()
    this.agent.destroy()
  })

  get endpoint(): URL {
    const { endpoints } = this.options
    return endpoints[this.at % endpoints.length] as URL
  }

  /** Each endpoint in its turn, until one gives its version. */
  readonly version: Effect.Effect<{ readonly endpoint: string; readonly answer: Fields }, EtcdFailure> = Effect.suspend(
    () =>
      this.repeat(
        Effect.flatMap(this.send("/version", undefined), ({ endpoint, status, text }) => {
          const answer = parse(text)
          return status === 200 && answer !== undefined
            ? Effect.succeed({ endpoint, answer })
            : Effect.fail(
              new EtcdUnsupported({
                endpoint,
                problem: `answered /version with ${status}; is it a client URL of etcd?`
              })
            )
        }),
        this.options.timeoutMs,
        true
      )
  )

  /** A call with the token of the user, if there is one. `revision` is what it reads, for the error that names it. */
  call(path: string, body: Fields, revision = 0): Effect.Effect<Fields, EtcdFailure> {
    const attempt = Effect.suspend(() => this.attempt(path, body, revision))
    return this.repeat(attempt, this.options.patienceMs)
  }

  private readonly attempt = Effect.fnUntraced({ self: this }, function*(
    this: EtcdCalls,
    path: string,
    body: Fields,
    revision: number
  ) {
    const { user } = this.options
    for (let renewed = user === undefined;; renewed = true) {
      if (this.token === undefined && user !== undefined) yield* this.authenticate(user)
      const answer = yield* this.send(path, JSON.stringify(body))
      const failure = this.failureOf(path, answer, revision)
      if (failure === undefined) return parse(answer.text) ?? {}
      // A token ends after five minutes, with its member, and when users are changed.
      const ended = failure instanceof EtcdRefused &&
        /invalid auth token|revision in header is old/.test(failure.reason)
      if (renewed || !ended) return yield* failure
      this.token = undefined
    }
  })

  private readonly authenticate = Effect.fnUntraced({ self: this }, function*(
    this: EtcdCalls,
    { name, password }: NonNullable<EtcdOptions["user"]>
  ) {
    const path = "/v3/auth/authenticate"
    const answer = yield* this.send(path, JSON.stringify({ name, password: Redacted.value(password) }))
    const failure = this.failureOf(path, answer, 0)
    if (failure !== undefined) return yield* failure
    const { token } = parse(answer.text) ?? {}
    if (typeof token === "string") this.token = token
  })

  /** One request at the endpoint whose turn it is. The next one has its turn when the connection fails. */
  private send(path: string, body: string | undefined) {
    const endpoint = this.endpoint
    return exchange({
      url: new URL(path, endpoint),
      ...body === undefined ? {} : { body },
      token: path.startsWith("/v3/auth/") ? undefined : this.token,
      agent: endpoint.protocol === "https:" ? this.agent : this.plain,
      timeoutMs: this.options.timeoutMs,
      maxBytes: maxAnswerBytes
    }).pipe(
      Effect.map((answer) => ({ ...answer, endpoint: endpoint.origin })),
      Effect.mapError((error) =>
        error instanceof ExchangeFailed
          ? new ExchangeFailed({ reason: `${endpoint.host}: ${error.reason}`, lasts: error.lasts })
          : error
      )
    )
  }

  private failureOf(
    path: string,
    { endpoint, status, text }: Answer & { readonly endpoint: string },
    revision: number
  ): EtcdFailure | ExchangeFailed | undefined {
    if (status === 200) {
      return parse(text) === undefined
        ? new EtcdUnsupported({ endpoint, problem: `answered ${path} with something that is no JSON` })
        : undefined
    }
    const fields = parse(text)
    if (status === 404 && fields?.["code"] === undefined) {
      return new EtcdUnsupported({
        endpoint,
        problem: "has no JSON gateway under /v3; start etcd without --enable-grpc-gateway=false"
      })
    }
    const said = fields?.["message"] ?? fields?.["error"] ?? text.trim().slice(0, shownCharacters)
    const reason = said === "" ? `HTTP ${status}` : String(said)
    const code = Number(fields?.["code"] ?? 0)
    if (/has been compacted/.test(reason)) return new EtcdCompacted({ revision })
    if (code === codes.unavailable || code === codes.deadlineExceeded || status >= 502) {
      return new ExchangeFailed({ reason: `${endpoint}: ${reason}`, lasts: undefined })
    }
    return new EtcdRefused({ endpoint, path, reason: advised(reason, code, this.options.user !== undefined) })
  }

  /**
   * Repeats what failed for its connection, at one endpoint after the other. The first call of all ends once each of
   * them has failed in a way that lasts; later ones wait for a member that restarts.
   */
  private repeat<A>(
    attempt: Effect.Effect<A, EtcdFailure | ExchangeFailed>,
    patienceMs: number,
    isFirst = false
  ): Effect.Effect<A, EtcdFailure> {
    const { endpoints } = this.options
    return Effect.flatMap(Clock.Clock, (clock) => {
      const endMs = monotonicMsOf(clock) + patienceMs
      const failures = new Map<string, ExchangeFailed>()
      const isHopeless = () =>
        endpoints.every(({ host }) => {
          const lasts = failures.get(host)?.lasts
          return lasts === "certificates" || (isFirst && lasts === "address")
        })
      const once: Effect.Effect<A, EtcdFailure> = Effect.catchTag(attempt, "ExchangeFailed", (failure) => {
        failures.set(this.endpoint.host, failure)
        this.at += 1
        // A token is known to the member that gave it, and after a restart to none.
        this.token = undefined
        return monotonicMsOf(clock) + pauseMs < endMs && !isHopeless()
          ? Effect.andThen(Effect.sleep(pauseMs), once)
          : Effect.fail(
            new EtcdUnreachable({
              endpoints: endpoints.map(({ origin }) => origin),
              reason: [...failures.values()].map(({ reason }) => reason).join("; ")
            })
          )
      })
      return once
    })
  }
}
