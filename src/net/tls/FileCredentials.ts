/**
 * Credentials from files, which are read again when they change and when the process gets `SIGHUP`. A set that cannot
 * be used gets a line in the log, and the one before goes on. Connections that are open are not affected: a certificate
 * is looked at once, when a connection is made.
 */
import { Clock, Effect, Metric } from "effect"
import type { Context, Scope } from "effect"
import { stat } from "node:fs/promises"
import { unreadAdvice, unreadText } from "../../ErrorText.ts"
import { seriesOf } from "../../MetricSeries.ts"
import { readSmallFile } from "../../SmallFile.ts"
import type { CertificateName } from "./CertificateName.ts"
import { describeName } from "./CertificateCheck.ts"
import type { Credentials, KeyMaterial } from "./Credentials.ts"
import { MemoryCredentials } from "./Credentials.ts"
import type { CheckedMaterial, CredentialsFiles, CredentialsTexts, ExpectedOwner } from "./MaterialCheck.ts"
import { checkMaterial, CredentialsError } from "./MaterialCheck.ts"

export interface FileCredentialsOptions extends CredentialsFiles {
  /** Whose the own certificate must be. */
  readonly owner: ExpectedOwner
  /** What they are used for, in metrics and in the log: "peer", "client". */
  readonly use: string
  /** Milliseconds between two looks at the files. Default 3,000. */
  readonly pollMs?: number | undefined
  /** Whether `SIGHUP` has the files read at once. A process that is ended by that signal says no. Default `false`. */
  readonly reloadOnHangup?: boolean | undefined
}

/** Credentials that follow their files. */
export interface FileCredentials extends Credentials {
  /** Whose the own certificate is; `undefined` without one. */
  readonly name: () => CertificateName | undefined
  /** When the own certificate ends, in milliseconds since the epoch; `undefined` without one. */
  readonly expiresMs: () => number | undefined
  /** Reads the files again now. Fails when they cannot be used; what was read before stays then. */
  readonly reload: Effect.Effect<void, CredentialsError>
}

const defaultPollMs = 3_000

/** A larger file is none of certificates. */
const maxFileBytes = 1024 * 1024

const dayMs = 86_400_000

/** Days before the end of a certificate at which the log tells of it. */
const warnDays: ReadonlyArray<number> = [1, 7, 30]

/** Alert when it is less than two weeks ahead of `time()`: from its end on, no connection comes about. */
const expiryGauge = seriesOf((use, certificate) =>
  Metric.gauge("flaredb_certificate_expiry_seconds", {
    description: "unix time at which a certificate of this process ends",
    attributes: { use, certificate }
  })
)

const systemError = (file: string, error: unknown): CredentialsError =>
  new CredentialsError({
    file,
    problem: `it cannot be read: ${unreadText(error)}`,
    advice: unreadAdvice(error)
  })

const onDisk = <A>(file: string, work: () => Promise<A>): Effect.Effect<A, CredentialsError> =>
  Effect.tryPromise({
    try: work,
    catch: (error) => error instanceof CredentialsError ? error : systemError(file, error)
  })

const statOf = (file: string) => onDisk(file, () => stat(file))

const readText = Effect.fnUntraced(function*(file: string) {
  const tooLarge = (bytes: number) =>
    new CredentialsError({
      file,
      problem: `it has ${bytes} bytes, over ${maxFileBytes}`,
      advice: "name a file of certificates or a key in PEM form"
    })
  const { size } = yield* statOf(file)
  if (size > maxFileBytes) return yield* tooLarge(size)
  return yield* onDisk(file, () => readSmallFile(file, maxFileBytes, tooLarge))
})

/**
 * Refuses a key that others may read. Its group may when it belongs to root and not to this process: that is how a
 * service account is given a key that it cannot change.
 */
const checkMode = Effect.fnUntraced(function*(file: string) {
  const { mode, uid } = yield* statOf(file)
  const ownUid = process.getuid?.()
  if (ownUid === undefined) return
  const forbidden = uid === 0 && ownUid !== 0 ? 0o037 : 0o077
  if ((mode & forbidden) === 0) return
  return yield* new CredentialsError({
    file,
    problem: `others than its owner may read the key (mode ${(mode & 0o777).toString(8).padStart(3, "0")})`,
    advice: `run chmod 600 ${file}`
  })
})

const readTexts = Effect.fnUntraced(function*(
  { authorities, certificate, key }: CredentialsFiles
): Effect.fn.Return<CredentialsTexts, CredentialsError> {
  const text = yield* readText(authorities)
  const missing = certificate === undefined ? key : certificate
  if (certificate === undefined || key === undefined) {
    if (missing === undefined) return { authorities: text }
    return yield* new CredentialsError({
      file: missing,
      problem: certificate === undefined ? "this key has no certificate" : "this certificate has no key",
      advice: "give both, or neither"
    })
  }
  yield* checkMode(key)
  return { authorities: text, own: { certificate: yield* readText(certificate), key: yield* readText(key) } }
})

const load = Effect.fnUntraced(function*(options: FileCredentialsOptions) {
  const texts = yield* readTexts(options)
  const clock = yield* Clock.Clock
  return yield* Effect.fromResult(checkMaterial(options, texts, options.owner, clock.currentTimeMillisUnsafe()))
})

/** What changes when a file does, also when another one takes its place. */
const fingerprint = (options: CredentialsFiles): Effect.Effect<string> => {
  const files = [options.authorities, options.certificate, options.key].filter((file) => file !== undefined)
  const each = (file: string) =>
    statOf(file).pipe(
      Effect.map(({ ctimeMs, dev, ino, mode, mtimeMs, size }) => [dev, ino, mode, size, mtimeMs, ctimeMs].join(":")),
      Effect.catch((error) => Effect.succeed(error.problem))
    )
  return Effect.map(Effect.forEach(files, each), (parts) => parts.join(" "))
}

const isSame = (one: KeyMaterial, other: KeyMaterial): boolean =>
  one.authorities === other.authorities && one.own?.certificate === other.own?.certificate

class Files implements FileCredentials {
  private readonly options: FileCredentialsOptions
  private readonly memory: MemoryCredentials
  private readonly metrics: Context.Context<never>
  private checked: CheckedMaterial
  /** The files as they were when they were last read, for good or bad. */
  private seen: string
  /** What is wrong with them since the last look, and whether the log has it. */
  private problem: { readonly text: string; readonly told: boolean } | undefined
  /** The number of days that the log was last told of. */
  private warnedDays = Number.POSITIVE_INFINITY

  constructor(
    options: FileCredentialsOptions,
    checked: CheckedMaterial,
    seen: string,
    metrics: Context.Context<never>
  ) {
    this.options = options
    this.checked = checked
    this.seen = seen
    this.metrics = metrics
    this.memory = new MemoryCredentials(checked.material)
  }

  readonly current = (): KeyMaterial => this.memory.current()
  readonly onChange: Credentials["onChange"] = (listener) => this.memory.onChange(listener)
  readonly name = (): CertificateName | undefined => this.checked.own?.name
  readonly expiresMs = (): number | undefined => this.checked.own?.expiresMs

  readonly reload: Effect.Effect<void, CredentialsError> = Effect.suspend(() =>
    Effect.flatMap(fingerprint(this.options), (seen) =>
      Effect.flatMap(load(this.options), (checked) => {
        this.seen = seen
        return this.take(checked)
      }))
  )

  /** Reads the files on a signal, and says at once what is wrong. */
  readonly reloadNow: Effect.Effect<void> = Effect.suspend(() =>
    Effect.catch(this.reload, (error) => this.refuse(error, true))
  )

  /** Looks at the files, and tells of what ends soon. */
  readonly look: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      Effect.flatMap(fingerprint(this.options), (seen) =>
        seen === this.seen && this.problem === undefined ? Effect.void : this.readAgain(seen)),
      this.tellOfExpiry
    )
  )

  private readAgain(seen: string): Effect.Effect<void> {
    // A certificate and its key are two files: what does not fit together at one look mostly does at the next.
    const isSecondLook = seen === this.seen
    this.seen = seen
    return Effect.matchEffect(load(this.options), {
      onSuccess: (checked) => this.take(checked),
      onFailure: (error) => this.refuse(error, isSecondLook)
    })
  }

  private refuse(error: CredentialsError, tell: boolean): Effect.Effect<void> {
    const told = this.problem?.told === true && this.problem.text === error.message
    this.problem = { text: error.message, told: told || tell }
    if (told || !tell) return Effect.void
    const { use } = this.options
    return Effect.annotateLogs(
      Effect.logWarning(`new ${use} certificates are not used, those before go on: ${error.message}`),
      { use, file: error.file }
    )
  }

  private take(checked: CheckedMaterial): Effect.Effect<void> {
    const before = this.checked.material
    this.problem = undefined
    if (isSame(before, checked.material)) return Effect.void
    this.checked = checked
    this.warnedDays = Number.POSITIVE_INFINITY
    this.publish()
    this.memory.replace(checked.material)
    const { own } = checked
    const whose = own === undefined
      ? "the authorities"
      : `the certificate of ${describeName(own.name)}, valid until ${new Date(own.expiresMs).toISOString()},`
    return Effect.logInfo(`${whose} is in use for new ${this.options.use} connections`)
  }

  /** Has the gauges say when the certificates end. */
  publish(): void {
    const set = (certificate: string, ms: number) =>
      expiryGauge(this.options.use, certificate).updateUnsafe(Math.floor(ms / 1_000), this.metrics)
    const { authoritiesExpireMs, own } = this.checked
    set("authority", authoritiesExpireMs)
    if (own !== undefined) set("own", own.expiresMs)
  }

  private readonly tellOfExpiry: Effect.Effect<void> = Effect.flatMap(Clock.Clock, (clock) => {
    const { own } = this.checked
    if (own === undefined) return Effect.void
    const leftMs = own.expiresMs - clock.currentTimeMillisUnsafe()
    const days = leftMs <= 0 ? 0 : warnDays.find((limit) => leftMs <= limit * dayMs)
    if (days === undefined || days >= this.warnedDays) return Effect.void
    this.warnedDays = days
    const until = new Date(own.expiresMs).toISOString()
    const whose = `the certificate of ${describeName(own.name)}`
    const renew = `renew it with flaredb cert ${describeName(own.name)} --overwrite`
    return days === 0
      ? Effect.logError(`${whose} has expired at ${until}: no new ${this.options.use} connection comes about; ${renew}`)
      : Effect.logWarning(`${whose} ends at ${until}, in less than ${days === 1 ? "a day" : `${days} days`}; ${renew}`)
  })
}

/** Reads credentials from files and follows these until the scope closes. */
export const fromFiles = Effect.fnUntraced(function*(
  options: FileCredentialsOptions
): Effect.fn.Return<FileCredentials, CredentialsError, Scope.Scope> {
  const seen = yield* fingerprint(options)
  const files = new Files(options, yield* load(options), seen, yield* Effect.context<never>())
  files.publish()
  yield* files.look
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.pollMs ?? defaultPollMs), files.look)))
  if (options.reloadOnHangup === true) {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const reload = () => void runFork(files.reloadNow)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("SIGHUP", reload)),
      () => Effect.sync(() => process.off("SIGHUP", reload))
    )
  }
  return files
})
