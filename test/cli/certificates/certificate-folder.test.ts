import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, existsSync, lstatSync, mkdirSync, statSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import * as Folder from "../../../src/cli/certificates/CertificateFolder.ts"
import type { Failure } from "../../../src/cli/output/Failure.ts"
import { client, node } from "../../certificates/Kit.ts"
import { putAuthority, putHolder, read, temporaryFolder, write } from "./Folders.ts"

const failure = <A, R>(effect: Effect.Effect<A, Failure, R>) => Effect.map(Effect.flip(effect), ({ line }) => line)

describe("the folder of an authority", () => {
  it.effect("is read only where there are files of a reasonable size", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const path = join(folder, "x")
      assert.match(yield* failure(Folder.readText(path)), /^there is no file /)
      mkdirSync(path)
      assert.match(yield* failure(Folder.readText(path)), /x: it is a folder; name a file in it$/)
      const large = join(folder, "large")
      write(large, "x".repeat(1024 * 1024 + 1))
      assert.match(yield* failure(Folder.readText(large)), /large: it has 1048577 bytes, over 1048576$/)
      symlinkSync(join(folder, "nothing"), join(folder, "link"))
      assert.match(yield* failure(Folder.readText(join(folder, "link"))), /^there is no file /)
    }))

  it.effect("is written for its owner alone, and replaces nothing unless it is said", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "a", "b")
      yield* Folder.makeFolder(folder)
      assert.strictEqual(statSync(folder).mode & 0o777, 0o700)
      const path = join(folder, "ca.key")
      yield* Folder.writeText(path, "one", false)
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
      assert.match(
        yield* failure(Folder.writeText(path, "two", false)),
        /ca.key exists already; --overwrite replaces it/
      )
      assert.strictEqual(read(path), "one")
      yield* Folder.writeText(path, "two", true)
      assert.strictEqual(read(path), "two")
    }))

  it.effect("never writes a key into what a link leads to", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const target = join(folder, "target")
      write(target, "other", 0o644)
      const path = join(folder, "ca.key")
      symlinkSync(target, path)
      assert.match(yield* failure(Folder.writeText(path, "key", false)), /exists already/)
      yield* Folder.writeText(path, "key", true)
      assert.strictEqual(read(target), "other")
      assert.isTrue(lstatSync(path).isFile())
      mkdirSync(join(folder, "ca.crt"))
      assert.match(
        yield* failure(Folder.writeText(join(folder, "ca.crt"), "x", true)),
        /ca.crt: it is a folder; move it away, or give another folder$/
      )
    }))

  it.effect("issues only with the authority's own key, which others may not read", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      assert.match(yield* failure(Folder.readAuthority(folder)), /^there is no authority in .*flaredb cert ca/)
      const authority = putAuthority(folder)
      const key = join(folder, "ca.key")
      assert.strictEqual((yield* Folder.readAuthority(folder)).certificate, authority.certificate)
      chmodSync(key, 0o640)
      assert.match(yield* failure(Folder.readAuthority(folder)), /may read the key \(mode 640\); run chmod 600 /)
      chmodSync(key, 0o600)
      const other = yield* temporaryFolder
      putAuthority(other)
      write(key, read(join(other, "ca.key")))
      assert.match(yield* failure(Folder.readAuthority(folder)), /ca.key is not the key of .*ca.crt$/)
      write(key, "garbage")
      assert.match(yield* failure(Folder.readAuthority(folder)), /ca.key: it is not PEM of a private key/)
    }))

  it.effect("lists nodes by number and clients by name", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const authority = putAuthority(folder)
      for (const name of [node(10, "prod"), node(9, "prod")]) putHolder(folder, authority, name, ["a"])
      for (const name of ["zoe", "ada"]) putHolder(folder, authority, client(name, "prod"))
      mkdirSync(join(folder, "node-3"))
      mkdirSync(join(folder, "node-x"))
      const found = (yield* Folder.holdersIn(folder)).map((files) => files.folder.slice(folder.length + 1))
      assert.deepStrictEqual(found, ["node-9", "node-10", "client-ada", "client-zoe"])
      assert.isFalse(existsSync(join(folder, "ca-next.key")))
    }))
})
