/** What is taken out of texts before they go into a bundle, and the archive that they are put in. */
import { assert, describe, it } from "@effect/vitest"
import { bounded, machineParts, maxPartBytes } from "../../../src/cli/bundle/Gather.ts"
import {
  hashed,
  redactEnvironment,
  redactLogLine,
  redactMetrics,
  redactStatus,
  withoutNames,
  withoutSecrets
} from "../../../src/cli/bundle/Redact.ts"
import { tarOf } from "../../../src/cli/bundle/Tar.ts"
import { formatToken } from "../../../src/kv/model/access/Token.ts"
import { secretsIn } from "../../../tools/secrets/Scan.ts"

const token = formatToken("shop", new Uint8Array(32).fill(7))

describe("secrets", () => {
  it.each([
    ["a token", `refused ${token} at once`],
    ["a token in a header", `authorization: Bearer ${token}`],
    ["another header", "\"authorization\": \"Basic c2VjcmV0OnNlY3JldA==\""],
    ["a private key", "x\n-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49secret\n-----END PRIVATE KEY-----\ny"],
    ["a cut private key", "-----BEGIN EC PRIVATE KEY-----\nsecret"],
    ["a key without its frame", "key: MC4CAQAwBQYDK2Vwsecret=="],
    ["the end of a private key", "c2VjcmV0\nc2VjcmV0==\n-----END PRIVATE KEY-----\ny"],
    ["an old key without its frame", "key: MHcCAQEEIsecret=="],
    ["a password", "password=secret, and apiKey: 'secret'"],
    ["a password in quotes", "password=\"two words: secret\""],
    ["other words for one", "pwd=secret DB_PASSPHRASE=secret AWS_SECRET_ACCESS_KEY=secret"],
    ["a URL", "GET http://bob:secret@collector:4318/v1 failed, then https://c/?access_token=secret&sig=secret"],
    ["a header without a scheme", "authorization: secret"],
    ["a cookie", "Cookie: id=secret; other=secret"]
  ])("are taken out of %s", (_, text) => {
    const left = withoutSecrets(text)
    assert.isEmpty(secretsIn(left))
    assert.notMatch(left, /secret(?!\])|c2VjcmV0/)
    assert.notInclude(left, token.slice(8, 40))
  })

  it("of the environment are said to be set, and nothing more", () => {
    const env = { FLAREDB_TOKEN: token, FLAREDB_TOKEN_FILE: "/t", FLAREDB_NODE_ID: "1", HOME: "/root", PATH: "x" }
    assert.deepStrictEqual(redactEnvironment(env), {
      FLAREDB_NODE_ID: "1",
      FLAREDB_TOKEN: "(set)",
      FLAREDB_TOKEN_FILE: "/t"
    })
    const misnamed = { FLAREDB_OTLP_HEADER: "x: secret", FLAREDB_OTLP_ENDPOINT: "http://bob:secret@c:1/" }
    assert.deepStrictEqual(redactEnvironment(misnamed), {
      FLAREDB_OTLP_ENDPOINT: "http://[secret]@c:1/",
      FLAREDB_OTLP_HEADER: "(set)"
    })
  })

  it("are taken out of fields of logs that have their names", () => {
    const line = { headers: { authorization: "secret", "x-api-key": "secret", cookie: "secret" }, tokenFile: "/t" }
    assert.deepStrictEqual(JSON.parse(redactLogLine(JSON.stringify(line))), {
      headers: { authorization: "[secret]", "x-api-key": "[secret]", cookie: "[secret]" },
      tokenFile: "/t"
    })
  })

  // With the square of the text it takes minutes, and the test runs out of its time. Names of tests are scanned, too.
  it.each([
    ["one letter", "a"],
    ["a name of secrets", "token"],
    ["quotes that were escaped", "\\\""],
    ["quotes", "\""],
    ["addresses", "x://"],
    ["beginnings of keys", "-----BEGIN PRIVATE KEY-----\n"],
    ["names of headers", "authorization"],
    ["words of refusals", " may not "]
  ])("are looked for in a time that grows with the text, also in a text of %s", (_, unit) => {
    const text = unit.repeat(Math.ceil(1024 * 1024 / unit.length))
    assert.isAbove(withoutSecrets(text).length, 0)
    for (const line of [text, text.slice(0, 60 * 1024)]) assert.isAbove(redactLogLine(line).length, 0)
  })
})

describe("what users wrote", () => {
  const key = "users/alice@example.com"

  it("is a hash in lines of logs, of either form, and the same one each time", () => {
    const plain = redactLogLine(`10:00 WARN the row of "${key}" is malformed`)
    assert.strictEqual(plain, `10:00 WARN the row of "${hashed(key)}" is malformed`)
    const json = redactLogLine(JSON.stringify({
      message: [`the row of "${key}" is malformed`],
      level: "WARN",
      annotations: { node: 1, cluster: "prod" },
      ranges: [{ key }],
      operation: "Put"
    }))
    assert.notInclude(json, "alice")
    assert.include(json, hashed(key))
    assert.deepInclude(JSON.parse(json), { level: "WARN", ranges: 1, operation: "Put" })
    assert.notInclude(redactLogLine(`{"message": "cut \\"${key}\\" off`), "alice")
  })

  it("is a hash in the audit log, whose other fields stay", () => {
    const line = {
      time: "t",
      node: 1,
      name: "alice",
      from: "127.0.0.1:5",
      operation: "Put",
      ranges: [key],
      outcome: "ok"
    }
    assert.deepStrictEqual(JSON.parse(redactLogLine(JSON.stringify(line))), {
      ...line,
      name: hashed("alice"),
      ranges: 1
    })
    assert.include(redactLogLine(JSON.stringify({ ...line, name: "-" })), "\"name\":\"-\"")
  })

  it("is a hash in the fields of a line", () => {
    const annotations = { user: "alice", queue: "alice", peer: 2, reason: "alice may not put \"x\"" }
    assert.notInclude(redactLogLine(JSON.stringify({ message: "refused", annotations })), "alice")
    assert.strictEqual(
      redactLogLine("10:00 INFO refused user=alice peer=2"),
      `10:00 INFO refused user=${hashed("alice")} peer=2`
    )
    assert.notInclude(redactLogLine(`10:00 WARN the row of "alice, which is cut`), "alice")
  })

  it("is a hash where a node names who may not do something", () => {
    assert.strictEqual(withoutNames("403: alice may not see it"), `403: ${hashed("alice")} may not see it`)
  })

  it("is a hash in labels of metrics, and the labels of FlareDB stay", () => {
    const page = `flaredb_unauthorized_total{name="alice"} 1\nflaredb_table_entries{table="inbox"} 2\n`
    assert.strictEqual(
      redactMetrics(page),
      `flaredb_unauthorized_total{name="${hashed("alice")}"} 1\nflaredb_table_entries{table="inbox"} 2\n`
    )
  })

  it("is a hash in what programs add to the status, whose figures stay", () => {
    const status = { role: "leader", actors: { queues: [{ name: "alice", waiting: 3 }], shardsHeld: 4 } }
    assert.deepStrictEqual(redactStatus(status), {
      role: "leader",
      actors: { queues: [{ name: hashed("alice"), waiting: 3 }], shardsHeld: 4 }
    })
    // A section has whatever name its program gave it.
    assert.deepStrictEqual(redactStatus({ nodeId: 1, orders: { customers: ["alice"], open: 3 } }), {
      nodeId: 1,
      orders: { customers: [hashed("alice")], open: 3 }
    })
  })
})

describe("parts", () => {
  it("are cut at their bound, and say so", () => {
    assert.strictEqual(bounded("short"), "short")
    const cut = bounded("é".repeat(maxPartBytes))
    assert.isAtMost(Buffer.byteLength(cut), maxPartBytes + 100)
    assert.match(cut, /\[cut: \d+ bytes\]\n$/)
  })

  it("that cannot be read are named, and the others are there", () => {
    const { parts, problems } = machineParts("/nowhere/at/all", ["/nowhere/node.log"])
    assert.deepStrictEqual(parts.map(({ name }) => name), ["machine.json", "environment.json"])
    assert.lengthOf(problems, 2)
    assert.match(
      problems.join("\n"),
      /directory\.txt: there is nothing of that name \(ENOENT\)[^]*logs\/1-node\.log: .* \(ENOENT\)/
    )
  })
})

describe("an archive", () => {
  it("has a header of 512 bytes for each file, its checksum, and whole blocks", () => {
    const content = Buffer.from("hello\n")
    const tar = Buffer.from(tarOf([{ name: "a/b.txt", content, modifiedMs: 1_000_000 }]))
    assert.strictEqual(tar.byteLength, 512 + 512 + 1024)
    const field = (at: number, length: number) => tar.toString("latin1", at, at + length).replace(/[\0 ]+$/, "")
    assert.strictEqual(field(0, 100), "a/b.txt")
    assert.strictEqual(field(124, 12), "00000000006")
    assert.strictEqual(field(136, 12), "00000001750")
    assert.strictEqual(field(257, 8), "ustar\x0000")
    const header = Uint8Array.from(tar.subarray(0, 512))
    header.fill(0x20, 148, 156)
    assert.strictEqual(Number.parseInt(field(148, 8), 8), header.reduce((sum, byte) => sum + byte, 0))
    assert.deepStrictEqual(tar.subarray(512, 518), content)
    assert.throws(() => tarOf([{ name: "x".repeat(101), content, modifiedMs: 0 }]), /no name/)
  })
})
