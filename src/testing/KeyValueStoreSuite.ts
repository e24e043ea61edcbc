/**
 * What users of Effect's `KeyValueStore` rely on, and one promise beyond it: `modify` is one step, also between
 * processes.
 */
import type { Scope } from "effect"
import { Context, Effect, Layer } from "effect"
import { Base64 } from "effect/encoding"
import { KeyValueStore } from "effect/persistence"
import { ensure, same } from "./Checks.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** The store to hold against the cases, and what it does not promise. */
export interface KeyValueStoreSuiteOptions {
  /** A store of this name. The suite builds it more than once, as several processes do; a name is used by one case. */
  readonly store: (name: string) => Layer.Layer<KeyValueStore.KeyValueStore, unknown>
  /** Whether two stores of one name, built apart, hold the same. Default `true`; Effect's memory store does not. */
  readonly shared?: boolean | undefined
  /** Whether `modify` is one step. Default `true`; Effect's memory store never lets others come between. */
  readonly atomic?: boolean | undefined
}

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const utf8 = (text: string) => new TextEncoder().encode(text)

/** Keys that are easily mixed up. */
const oddKeys = ["", "a", "a/", "a/b", "A", "ä", "a\u0000", "%2F", "😀", "a".repeat(300), "../x", "~"]

/** Keys of a store that takes several pages to list. */
const manyKeys = 1_700

/** What a key-value store of Effect has to do, as cases for any test runner. */
export const keyValueStoreCases = (options: KeyValueStoreSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const open = (name: string) =>
    Effect.map(
      Layer.build(Layer.fresh(options.store(name))),
      (context) => Context.get(context, KeyValueStore.KeyValueStore)
    )

  /** A case on a store of its own, opened by two users where stores are shared. */
  const make = (
    name: string,
    run: (
      store: KeyValueStore.KeyValueStore,
      other: KeyValueStore.KeyValueStore
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(Effect.gen(function*() {
      const store = yield* open(name)
      yield* run(store, options.shared === false ? store : yield* open(name))
    }))
  })

  const increment = (store: KeyValueStore.KeyValueStore) => store.modify("count", (count) => String(Number(count) + 1))

  return [
    make("a value is there until it is removed", (store, other) =>
      Effect.gen(function*() {
        yield* same(yield* store.get("key"), undefined, "a key that was never set")
        yield* same(yield* store.has("key"), false, "has, before")
        yield* store.set("key", "value")
        yield* same(yield* other.get("key"), "value", "the other user's get")
        yield* same(yield* other.has("key"), true, "has, after")
        yield* store.set("key", "")
        yield* same(yield* store.get("key"), "", "the empty text")
        yield* store.set("key", "\ufeffvalue")
        yield* same(yield* other.get("key"), "\ufeffvalue", "a text with a mark of byte order")
        yield* other.remove("key")
        yield* same(yield* store.get("key"), undefined, "a key that was removed")
        yield* store.remove("key")
      })),
    make("text and bytes are told apart", (store) =>
      Effect.gen(function*() {
        const notText = bytes(0xff, 0x00, 0xc3, 0x28)
        yield* store.set("bytes", notText)
        yield* same(yield* store.getUint8Array("bytes"), notText, "bytes as bytes")
        yield* same(yield* store.get("bytes"), Base64.encode(notText), "bytes as text")
        yield* store.set("text", "grüße")
        yield* same(yield* store.getUint8Array("text"), utf8("grüße"), "text as bytes")
        // Looks like Base64, and is not.
        yield* store.set("word", "abcd")
        yield* same(yield* store.getUint8Array("word"), utf8("abcd"), "a text that reads as Base64, as bytes")
        yield* store.set("word", bytes())
        yield* same(yield* store.getUint8Array("word"), bytes(), "no bytes")
        yield* same(yield* store.getUint8Array("none"), undefined, "a key that was never set, as bytes")
      })),
    make("keys are told apart, and listed as they were given", (store) =>
      Effect.gen(function*() {
        for (const key of oddKeys) yield* store.set(key, `value of ${key}`)
        for (const key of oddKeys) yield* same(yield* store.get(key), `value of ${key}`, `the key ${key}`)
        yield* same([...(yield* store.keys)].sort(), [...oddKeys].sort(), "the keys")
        yield* same(yield* store.size, oddKeys.length, "the size")
        yield* same(yield* store.has("a/b/"), false, "a key that only begins like another")
        yield* store.remove("")
        yield* same(yield* store.has(""), false, "the empty key, after others began with it")
      })),
    make("clearPrefix removes what begins with the prefix, and nothing else", (store) =>
      Effect.gen(function*() {
        for (const key of ["a", "a/1", "a/2", "a0", "b", "A/1"]) yield* store.set(key, key)
        yield* store.clearPrefix("a/")
        yield* same([...(yield* store.keys)].sort(), ["A/1", "a", "a0", "b"], "the keys left")
        yield* store.clearPrefix("")
        yield* same(yield* store.isEmpty, true, "isEmpty after the empty prefix")
      })),
    make("stores of other names keep theirs, also where a name begins like another", (store) =>
      Effect.gen(function*() {
        if (options.shared === false) return
        const names = ["of", "of/", "of/x", "of%2Fx", "\ud800", "\ud801"].map((name) => `stores ${name}`)
        const others = yield* Effect.forEach(names, open)
        yield* store.set("key", "mine")
        for (const [i, other] of others.entries()) yield* other.set("key", `of ${i}`)
        for (const [i, other] of others.entries()) yield* same(yield* other.get("key"), `of ${i}`, `name ${i}`)
        yield* Effect.forEach(others, (other) => other.clear)
        yield* same(yield* store.get("key"), "mine", "after the others were cleared")
      })),
    make("modify changes what is there, as text or as bytes", (store) =>
      Effect.gen(function*() {
        let calls = 0
        const none = yield* store.modify("none", (value) => {
          calls++
          return value
        })
        yield* same([none, calls, yield* store.has("none")], [undefined, 0, false], "modify of a key that is not there")
        yield* store.set("text", "a")
        yield* same(yield* store.modify("text", (value) => `${value}b`), "ab", "what modify gives")
        yield* same(yield* store.get("text"), "ab", "what it wrote")
        yield* same(
          yield* store.modifyUint8Array("text", (value) => Uint8Array.from([...value, 0xff])),
          bytes(0x61, 0x62, 0xff),
          "what modifyUint8Array gives"
        )
        yield* same(yield* store.getUint8Array("text"), bytes(0x61, 0x62, 0xff), "what it wrote")
        yield* same(yield* store.get("text"), Base64.encode(bytes(0x61, 0x62, 0xff)), "it holds bytes since")
        yield* same(
          yield* store.modifyUint8Array("none", (value) => value),
          undefined,
          "modifyUint8Array of a key that is not there"
        )
      })),
    make("modify is one step: no update of several users at once is lost", (store, other) =>
      Effect.gen(function*() {
        if (options.atomic === false) return
        yield* store.set("count", "0")
        yield* Effect.all(
          Array.from({ length: 40 }, (_, i) => increment(i % 2 === 0 ? store : other)),
          { concurrency: "unbounded", discard: true }
        )
        yield* same(yield* store.get("count"), "40", "40 increments of two users at once")
      })),
    make("a store of many keys is counted, listed and cleared", (store, other) =>
      Effect.gen(function*() {
        yield* same(yield* store.isEmpty, true, "isEmpty, before")
        const names = Array.from({ length: manyKeys }, (_, i) => `key ${i}`)
        yield* Effect.forEach(names, (key) => store.set(key, key), { concurrency: 200, discard: true })
        yield* same(yield* other.size, manyKeys, "the size")
        yield* same(yield* other.isEmpty, false, "isEmpty")
        yield* same([...(yield* other.keys)].sort(), names.sort(), "the keys")
        yield* store.clear
        yield* same(yield* other.size, 0, "the size after clear")
        yield* same(yield* other.keys, [], "the keys after clear")
        yield* store.clear
        yield* ensure(yield* other.isEmpty, "isEmpty, after clear")
      }))
  ]
}
