import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { X509Certificate } from "node:crypto"
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { makeAuthority } from "../../../src/certificates/Authority.ts"
import { isIssuedBy, parsePem } from "../../../src/certificates/Certificates.ts"
import * as Rotation from "../../../src/cli/certificates/Rotation.ts"
import type { Failure } from "../../../src/cli/output/Failure.ts"
import { client, node } from "../../certificates/Kit.ts"
import { isPair, nowMs, putAuthority, putHolder, read, temporaryFolder, write } from "./Folders.ts"

const beginOptions = { cluster: undefined, days: 100, nowMs }
const reissueOptions = { days: 30, nowMs }

const certificatesIn = (path: string) => Result.getOrThrow(parsePem(read(path)))

const certificateIn = (path: string): X509Certificate => {
  const [first] = certificatesIn(path)
  if (first === undefined) throw new Error(`${path} is empty`)
  return first
}

const refusal = <A, R>(step: Effect.Effect<A, Failure, R>) => Effect.map(Effect.flip(step), ({ line }) => line)

/** An authority with a node and a client. */
const makeFolder = Effect.map(temporaryFolder, (folder) => {
  const authority = putAuthority(folder)
  const one = putHolder(folder, authority, node(1, "prod"), ["db1", "10.0.0.1"])
  const admin = putHolder(folder, authority, client("admin", "prod"))
  return { folder, authority, one, admin, ca: join(folder, "ca.crt"), key: join(folder, "ca.key") }
})

describe("the rotation of an authority", () => {
  it.effect("leads to new certificates for the same names, each step accepted by the other side", () =>
    Effect.gen(function*() {
      const { admin, authority, ca, folder, key, one } = yield* makeFolder
      const old = new X509Certificate(authority.certificate)
      const before = certificateIn(one.certificate)

      const begun = yield* Rotation.begin(folder, beginOptions)
      assert.deepStrictEqual(begun.folders, [one.folder, admin.folder])
      for (const path of [ca, one.authorities, admin.authorities]) {
        assert.strictEqual(read(path), authority.certificate + begun.authority.certificate)
      }
      assert.strictEqual(certificateIn(one.certificate).fingerprint256, before.fingerprint256)
      assert.isTrue(isPair(ca, key), "the old one goes on issuing")

      const reissued = yield* Rotation.reissue(folder, reissueOptions)
      assert.deepStrictEqual(reissued.issued.map(({ files }) => files.folder), [one.folder, admin.folder])
      const next = new X509Certificate(begun.authority.certificate)
      for (const files of [one, admin]) {
        assert.isTrue(isIssuedBy(certificateIn(files.certificate), next))
        assert.isTrue(isPair(files.certificate, files.key))
        assert.lengthOf(certificatesIn(files.authorities), 2)
      }
      assert.strictEqual(certificateIn(one.certificate).subjectAltName, before.subjectAltName)

      const finished = yield* Rotation.finish(folder, [{ where: "db1:1", certificate: certificateIn(one.certificate) }])
      assert.strictEqual(finished.removed, old.fingerprint256)
      for (const path of [ca, one.authorities, admin.authorities]) {
        assert.strictEqual(read(path), begun.authority.certificate)
      }
      assert.isTrue(isPair(ca, key))
      assert.isFalse(existsSync(join(folder, "ca-next.key")) || existsSync(join(folder, "ca-old.key")))
    }))

  it.effect("refuses a step while the one before is not done", () =>
    Effect.gen(function*() {
      const { authority, folder, one } = yield* makeFolder
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /one authority.*run .* rotate-ca begin/)
      assert.match(yield* refusal(Rotation.finish(folder, [])), /one authority.*run .* rotate-ca begin/)

      yield* Rotation.begin(folder, beginOptions)
      assert.match(yield* refusal(Rotation.finish(folder, [])), /does not issue yet: run .* rotate-ca reissue/)
      write(one.authorities, authority.certificate)
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /does not have the new authority yet/)

      const other = { ...beginOptions, cluster: "other" }
      assert.match(yield* refusal(Rotation.begin(folder, other)), /is the authority of cluster prod, not other/)
      yield* Rotation.begin(folder, beginOptions)
      const shown = certificateIn(one.certificate)
      yield* Rotation.reissue(folder, reissueOptions)
      assert.match(yield* refusal(Rotation.begin(folder, beginOptions)), /the new one issues already/)
      const running = [{ where: "db1:7001", certificate: shown }]
      assert.match(
        yield* refusal(Rotation.finish(folder, running)),
        /db1:7001 shows a certificate that is not of the new/
      )
      const late = putHolder(folder, authority, client("late", "prod"))
      assert.match(yield* refusal(Rotation.finish(folder, [])), /client-late.* is not of the new authority: run/)
      rmSync(late.folder, { recursive: true })
      yield* Rotation.finish(folder, [])
    }))

  it.effect("goes on where a step was cut off", () =>
    Effect.gen(function*() {
      const { admin, authority, ca, folder, key, one } = yield* makeFolder
      const nextKey = join(folder, "ca-next.key")
      // A key that no file names an authority for.
      write(nextKey, Redacted.value(Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs })).key))
      const begun = yield* Rotation.begin(folder, beginOptions)
      // The last of the folders was not reached.
      write(admin.authorities, authority.certificate)
      const again = yield* Rotation.begin(folder, beginOptions)
      assert.strictEqual(again.authority.certificate, begun.authority.certificate)
      assert.lengthOf(certificatesIn(admin.authorities), 2)

      // A key was written, and its certificate was not.
      write(one.key, Redacted.value(authority.key))
      renameSync(key, join(folder, "ca-old.key"))
      const reissued = yield* Rotation.reissue(folder, reissueOptions)
      assert.lengthOf(reissued.issued, 2)
      assert.isTrue(isPair(one.certificate, one.key))
      const repeated = yield* Rotation.reissue(folder, reissueOptions)
      assert.deepStrictEqual([repeated.issued.length, repeated.kept.length], [0, 2])

      // Everything but the authority's own file was written.
      write(one.authorities, begun.authority.certificate)
      rmSync(join(folder, "ca-old.key"))
      yield* Rotation.finish(folder, [])
      assert.strictEqual(read(ca), begun.authority.certificate)
      assert.isTrue(isPair(ca, key))
    }))

  it.effect("says what is wrong with the files", () =>
    Effect.gen(function*() {
      const empty = yield* temporaryFolder
      assert.match(yield* refusal(Rotation.begin(empty, beginOptions)), /there is no authority in/)
      const { ca, folder, key, one } = yield* makeFolder
      const other = { ...beginOptions, cluster: "other" }
      assert.match(yield* refusal(Rotation.begin(folder, other)), /is the authority of cluster prod, not other/)
      write(one.certificate, "garbage")
      yield* Rotation.begin(folder, beginOptions)
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /node.crt: it holds no certificate/)
      rmSync(one.folder, { recursive: true })
      const foreign = Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs }))
      const stranger = putHolder(folder, foreign, node(7, "prod"), ["db7"])
      write(stranger.authorities, read(ca))
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /issued by neither authority/)
      rmSync(join(folder, "ca-next.key"))
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /is the key of the second authority/)
      write(ca, read(ca) + foreign.certificate)
      assert.match(yield* refusal(Rotation.reissue(folder, reissueOptions)), /has 3 authorities/)
      rmSync(key)
      mkdirSync(key)
      write(ca, foreign.certificate)
      assert.match(yield* refusal(Rotation.begin(folder, beginOptions)), /ca.key: it is a folder/)
    }))
})
