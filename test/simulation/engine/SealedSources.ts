/**
 * Whatever tells a program something that no seed decides: clocks, timers, random numbers, and what the garbage
 * collector reports. While a run is sealed, a use of one throws and is a violation of the run.
 *
 * Timers and microtasks are among them, because a run is one call: what waits for them would come after its end.
 * Promises cannot be sealed. Nothing that waits for one continues before the end of the run.
 */
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import timers from "node:timers"

/** Takes the name of the source that was used. */
type Complain = (source: string) => never

/** Called for a use of a source; absent while no run is sealed. The test files of one worker share it. */
let complain: Complain | undefined

/** Runs `run`, and calls `complain` when something in it uses a source. */
export const sealed = <A>(complaint: Complain, run: () => A): A => {
  for (const { guarded, isHarmless, method, name, owner } of seals) {
    if (Reflect.get(owner, method) !== guarded) seal(owner, method, name, isHarmless)
  }
  return within(complaint, run)
}

/** Runs `run`, which belongs to what watches a run and not to the run itself. */
export const unsealed = <A>(run: () => A): A => within(undefined, run)

const within = <A>(complaint: Complain | undefined, run: () => A): A => {
  const before = complain
  complain = complaint
  try {
    return run()
  } finally {
    complain = before
  }
}

type Method = (...args: ReadonlyArray<unknown>) => unknown

interface Seal {
  readonly owner: object
  readonly method: string
  readonly name: string
  readonly guarded: Method
  readonly isHarmless: () => boolean
}

/** The methods under seal. Each run looks whether they still are: test runners put some back as they found them. */
const seals: Array<Seal> = []

/**
 * Whether Effect joins two causes, as where work fails and so does what cleans up behind it. It finds equal ones by
 * hashes, and the hash of an object is a random number, on which nothing hangs but where the object is looked for.
 */
const isJoiningCauses = (): boolean => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 50
  const { stack = "" } = new Error("who asks")
  Error.stackTraceLimit = stackTraceLimit
  return /[\\/]Hash\.[jt]s/.test(stack) && /\bdedupeReasons\b/.test(stack)
}

/** Puts `method` of `owner` under seal. It does what it did while no run is sealed, and where `isHarmless` says so. */
const seal = (owner: object, method: string, name = method, isHarmless = () => false): void => {
  const real = Reflect.get(owner, method) as Method
  const guarded = new Proxy(real, {
    apply: (target, self, args) =>
      complain === undefined || isHarmless() ? Reflect.apply(target, self, args) : complain(name)
  })
  const at = seals.findIndex((other) => other.owner === owner && other.method === method)
  seals.splice(at < 0 ? seals.length : at, at < 0 ? 0 : 1, { owner, method, name, guarded, isHarmless })
  Object.defineProperty(owner, method, { configurable: true, enumerable: true, writable: true, value: guarded })
}

/** Puts a class under seal where `reads` says that making one with these arguments asks for what is outside. */
const sealClass = (
  name: "Date" | "FinalizationRegistry" | "WeakRef",
  reads: (args: ReadonlyArray<unknown>) => boolean = () => true
): void => {
  const guarded: unknown = new Proxy(globalThis[name] as unknown as new(...args: Array<unknown>) => object, {
    construct: (target, args, created) =>
      complain === undefined || !reads(args)
        ? Reflect.construct(target, args, created) as object
        : complain(`new ${name}`)
  })
  Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: guarded })
}

for (const method of ["setTimeout", "setInterval", "setImmediate"]) {
  seal(globalThis, method)
  seal(timers, method)
}
seal(globalThis, "queueMicrotask")
seal(process, "nextTick", "process.nextTick")
seal(process.hrtime, "bigint", "process.hrtime.bigint")
seal(process, "hrtime", "process.hrtime")
seal(performance, "now", "performance.now")
seal(Math, "random", "Math.random", isJoiningCauses)
for (const method of ["randomBytes", "randomInt", "randomUUID", "randomFillSync", "randomFill"]) seal(crypto, method)
for (const method of ["randomUUID", "getRandomValues"]) seal(globalThis.crypto, method, `crypto.${method}`)
seal(Date, "now", "Date.now")
sealClass("Date", (args) => args.length === 0)
sealClass("FinalizationRegistry")
sealClass("WeakRef")
// So that what was imported by name is sealed as well.
syncBuiltinESMExports()
