/**
 * The pods of `deploy/kubernetes` as processes on machines of namespaces: the commands, settings, users and modes of the
 * manifests, with names and files as Kubernetes would give them. The probes and the backup
 * are asked as they stand there, with Secrets that the commands of the guide make.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Part } from "../../deploy/Manifests.ts"
import { manifestsIn, only, root } from "../../deploy/Manifests.ts"
import type { Machine } from "./Machines.ts"
import { make, whyNot } from "./Machines.ts"

const base = manifestsIn("deploy/kubernetes/base")
const pod = only(base, "StatefulSet").spec.template.spec
const [container] = pod.containers
const job = only(base, "CronJob").spec.jobTemplate.spec.template.spec
const settings: Record<string, string> = only(base, "ConfigMap").data

const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
const nameOf = (ordinal: number) => `flaredb-${ordinal}.flaredb-nodes.flaredb.svc`

/** A word for a shell. */
const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** What the image runs where a container has no command of its own. */
const entrypoint: ReadonlyArray<string> = JSON.parse(
  /^ENTRYPOINT (.*)$/m.exec(readFileSync(join(root, "deploy/docker/Dockerfile"), "utf8"))?.[1] ?? ""
)

/** A container's command, as the user of the pod. */
const commandOf = (spec: Part): string => {
  const { runAsGroup, runAsUser } = spec.securityContext
  const [{ args, command = entrypoint }] = spec.containers
  const user = `setpriv --reuid=${runAsUser} --regid=${runAsGroup} --clear-groups --no-new-privs --bounding-set=-all`
  return [user, ...[...command, ...args].map(quoted)].join(" ")
}

/** Files of Secrets in a volume: links to those of root, readable for the group of the pod. */
const mount = (volume: Part, path: string) => {
  const { defaultMode, sources } = volume.projected ?? { ...volume.secret, sources: [{ secret: volume.secret }] }
  return sources.flatMap(({ secret }: Part) =>
    secret.items.map((item: Part) =>
      `install -D --group=${pod.securityContext.fsGroup} --mode=${defaultMode.toString(8)} ` +
      `/root/secrets/${secret.name ?? secret.secretName}/${item.key} ${path}/..data/${item.path}
mkdir -p "$(dirname ${path}/${item.path})" && ln -s ${path}/..data/${item.path} ${path}/${item.path}`
    )
  ).join("\n")
}

/** The commands of the guide that make the Secrets. */
const guide = /^```sh kubernetes\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, "docs/three-machines.md"), "utf8"))
  ?.[1]

/** They run with a `kubectl` that makes a folder of each Secret, and then all machines get them. */
const secrets = `kubectl() {
  [ "$1 $2 $3 $4 $5" = "--namespace flaredb create secret generic" ]
  mkdir -p "secrets/$6"
  for file in "\${@:7}"; do
    file=\${file#--from-file=}
    cp "\${file#*=}" "secrets/$6/\${file%%=*}"
  done
}
${guide ?? "exit 1"}
for address in ${addresses.slice(1).join(" ")}; do scp -r secrets root@$address:/root/secrets; done`

const skipped = whyNot()
if (skipped !== undefined) console.warn(`pods.test.ts is skipped: ${skipped}`)

it.live.skipIf(skipped !== undefined)(
  "the pods make a cluster, are probed, and are backed up",
  () =>
    Effect.gen(function*() {
      const machines = yield* make(addresses)
      const must = (machine: Machine | undefined, lines: string, env: Readonly<Record<string, string>> = {}) =>
        Effect.map(machine?.run(lines, env) ?? Effect.die(new Error("no machine")), (ran) => {
          assert.strictEqual(ran.code, 0, `${lines}\n${ran.printed}`)
          return ran.printed
        })
      const hosts = addresses.map((address, ordinal) => `${address} ${nameOf(ordinal)}`).join("\n")
      const onAll = (lines: string) => Effect.forEach(machines, (machine) => must(machine, lines))
      yield* onAll(`ln -s /opt/flaredb/bin/flaredb.js /usr/local/bin/flaredb
cat >> /etc/hosts <<< ${quoted(hosts)}`)
      yield* must(machines[0], secrets)

      // Kubernetes makes the root of a volume the group's, and leaves what a node makes below it alone.
      const data = container.volumeMounts.find((each: Part) => each.name === "data").mountPath
      yield* onAll(`${mount(pod.volumes.find((volume: Part) => volume.name === "certs"), "/etc/flaredb/certs")}
install --directory --group=${pod.securityContext.fsGroup} --mode=2770 ${data}`)
      const nodeEnv = { ...settings, UV_THREADPOOL_SIZE: "8", MALLOC_ARENA_MAX: "2", NODE_OPTIONS: "" }
      yield* Effect.forEach(machines, (machine, ordinal) =>
        must(machine, `(${commandOf(pod)} > /root/log 2>&1 < /dev/null &)`, {
          ...nodeEnv,
          HOSTNAME: `flaredb-${ordinal}`
        }))

      const { path, port: name, scheme } = container.readinessProbe.httpGet
      const { containerPort } = container.ports.find((port: Part) =>
        port.name === name
      )
      for (const machine of machines) {
        // A probe asks the address of the pod, and checks no certificate.
        const url = `${scheme.toLowerCase()}://${machine.address}:${containerPort}${path}`
        yield* must(machine, `until curl --silent --fail --insecure ${url}; do sleep 0.2; done`)
      }
      for (const machine of machines) {
        assert.match(yield* must(machine, `stat --format='%a %u' ${settings["FLAREDB_DATA_DIR"]}`), /^2?700 1000\n/)
        const log = yield* must(machine, "cat /root/log")
        assert.notMatch(log, /others can reach|"level":"(WARN|ERROR)".*(key|certificate|insecure)/)
      }

      // A user for the backup, as the guide says, and then the job itself.
      const { FLAREDB_ENDPOINTS: endpoints = "" } = Object.fromEntries(
        job.containers[0].env.map((each: Part) => [each.name, each.value])
      ) as Record<string, string>
      yield* must(machines[0], "flaredb access user put backup --role admin", {
        FLAREDB_ENDPOINTS: endpoints,
        FLAREDB_CERTS_DIR: "certs/client-admin"
      })
      const { mountPath: folder } = job.containers[0].volumeMounts.find((volume: Part) => volume.name === "backups")
      const backup = job.volumes.find((volume: Part) => volume.name === "certs")
      yield* must(
        machines[1],
        `rm -rf /etc/flaredb/certs && ${mount(backup, "/etc/flaredb/certs")}
install --directory --group=${job.securityContext.fsGroup} --mode=2770 ${folder}`
      )
      const printed = yield* must(machines[1], commandOf(job), {
        FLAREDB_ENDPOINTS: endpoints,
        FLAREDB_CERTS_DIR: "/etc/flaredb/certs"
      })
      assert.match(printed, /\/production-\d{8}T\d{6}Z-r\d+\.flaredb: \d+ rows, .* read back and whole/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)
