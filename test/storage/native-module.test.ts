/** Whatever keeps the binding of RocksDB from loading is named, with what to do about it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as NativeModule from "../../src/storage/rocksdb/NativeModule.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"
import * as NodeServices from "@effect/platform-node/NodeServices"

const debian = { platform: "linux", arch: "x64", glibc: "2.31" }

/** What `require-addon` throws when the system refuses the file. */
const refused = (text: string): Error =>
  Object.assign(
    new Error("Cannot load addon 'file:///opt/node_modules/rocksdb-native/prebuilds/linux-x64/rocksdb-native.node'", {
      cause: Object.assign(new Error(text), { code: "ERR_DLOPEN_FAILED" })
    }),
    { code: "CANNOT_LOAD" }
  )

const missing = (code: string, text: string): Error => Object.assign(new Error(text), { code })

const file = "/opt/node_modules/rocksdb-native/prebuilds/linux-x64/rocksdb-native.node"

const kinds: ReadonlyArray<readonly [what: string, error: Error, system: NativeModule.System, expected: RegExp]> = [
  [
    "a library that is missing",
    refused("libatomic.so.1: cannot open shared object file: No such file or directory"),
    debian,
    /libatomic\.so\.1 is missing; .*apt-get install libatomic1 .*dnf install libatomic .*apk add libatomic /
  ],
  [
    "another library that is missing",
    refused("libstdc++.so.6: cannot open shared object file: No such file or directory"),
    debian,
    /libstdc\+\+\.so\.6 is missing; .*apt-get install libstdc\+\+6 /
  ],
  [
    "a library that no package is known for",
    refused("libnone.so.3: cannot open shared object file: No such file or directory"),
    debian,
    /libnone\.so\.3 is missing; install the package of this system that has it/
  ],
  [
    "an old glibc",
    refused(`/lib/x86_64-linux-gnu/libc.so.6: version \`GLIBC_2.34' not found (required by ${file})`),
    debian,
    /needs glibc 2\.34 or later, and this system has 2\.31/
  ],
  [
    "an old libstdc++",
    refused(`/lib/x86_64-linux-gnu/libstdc++.so.6: version \`GLIBCXX_3.4.30' not found (required by ${file})`),
    debian,
    /libstdc\+\+\.so\.6 of this system is too old: it lacks GLIBCXX_3\.4\.30/
  ],
  [
    "the file of another machine",
    refused(`${file}: wrong ELF class: ELFCLASS32`),
    debian,
    /damaged, or of another kind of machine than this linux-x64 .*run npm ci on this machine/
  ],
  ["a damaged file", refused(`${file}: invalid ELF header`), debian, /damaged.*invalid ELF header/],
  ["a file that is cut off", refused(`${file}: file too short`), debian, /damaged.*file too short/],
  [
    "a file of another Mac",
    refused("dlopen(rocksdb-native.node, 0x0001): tried: (mach-o file, but is an incompatible architecture)"),
    { platform: "darwin", arch: "arm64", glibc: undefined },
    /another kind of machine than this darwin-arm64/
  ],
  [
    "a file system without programs",
    refused(`${file}: failed to map segment from shared object`),
    debian,
    /may not load its file.*noexec/
  ],
  [
    "no file for this machine",
    missing("ADDON_NOT_FOUND", "Cannot find addon '.' imported from 'file:///x'\nCandidates:\n- a\n- b"),
    debian,
    /its file for linux-x64 is not there; run npm ci/
  ],
  [
    "Alpine",
    missing("ADDON_NOT_FOUND", "Cannot find addon '.' imported from 'file:///x'\nCandidates:\n- a"),
    { ...debian, glibc: undefined },
    /none for linux-x64 with musl, as on Alpine; .*deploy\/docker/
  ],
  [
    "a package that is not installed",
    missing("ERR_MODULE_NOT_FOUND", "Cannot find package 'rocksdb-native' imported from /opt/dist/cli/RocksDb.js"),
    debian,
    /it is not installed; .* run npm install rocksdb-native@[\d.]+, or npm ci in a clone/
  ],
  [
    "a package of its own that is not installed",
    missing("ERR_MODULE_NOT_FOUND", "Cannot find package 'require-addon' imported from /opt/rocksdb-native/binding.js"),
    debian,
    /not installed \(Cannot find package 'require-addon'\); run npm ci/
  ],
  ["anything else", new Error("out\nof luck"), debian, /^out of luck$/]
]

describe("the binding of RocksDB", () => {
  for (const [what, error, system, expected] of kinds) {
    it(`is explained to be kept away by ${what}`, () => {
      const explained = NativeModule.explain(error, system)
      assert.match(explained, expected)
      assert.notInclude(explained, "\n")
    })
  }

  it.effect("is loaded before anything is created, and its failure is an error that storage opens with", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryFolder, "node-1")
      const failure = refused("libatomic.so.1: cannot open shared object file: No such file or directory")
      const error = yield* Layer.build(RocksStorage.layer({ path, clusterId: "c", nodeId: 1, voters: [1] })).pipe(
        Effect.provideService(NativeModule.NativeImport, () => Promise.reject(failure)),
        Effect.flip
      )
      assert.strictEqual(error._tag, "NativeModuleError")
      assert.match(
        error.message,
        /^RocksDB \(rocksdb-native\) cannot be loaded: the library libatomic\.so\.1 is missing/
      )
      assert.isFalse(existsSync(path))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
