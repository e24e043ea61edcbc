# Three virtual machines with a node each and one that is none: TLS, a lost machine, a backup. `nix flake check` runs it,
# where the machine that builds has KVM.
{
  pkgs,
  module,
  package,
}:
let
  # As the test driver gives them out, in the order of the machines' names.
  addresses = {
    node1 = "192.168.1.1";
    node2 = "192.168.1.2";
    node3 = "192.168.1.3";
  };
  nodes = "1=${addresses.node1}:7001:7101:7201,2=${addresses.node2}:7001:7101:7201,3=${addresses.node3}:7001:7101:7201";
  endpoints = "${addresses.node1}:7001,${addresses.node2}:7001,${addresses.node3}:7001";

  # For these machines alone: what is in the store, everybody may read.
  certificates = pkgs.runCommand "flaredb-test-certificates" { nativeBuildInputs = [ package ]; } ''
    flaredb cert ca --cluster test
    flaredb cert node 1 --host ${addresses.node1}
    flaredb cert node 2 --host ${addresses.node2}
    flaredb cert node 3 --host ${addresses.node3}
    flaredb cert client admin
    cp -r certs $out
  '';

  # Copied, not linked, with a mode: keys that others may read are refused.
  certificateFiles =
    folder: files:
    builtins.listToAttrs (
      map (file: {
        name = "flaredb/certs/${file}";
        value = {
          source = "${certificates}/${folder}/${file}";
          mode = "0400";
          user = "flaredb";
          group = "flaredb";
        };
      }) files
    );

  node = id: {
    imports = [ module ];
    environment.etc = certificateFiles "node-${toString id}" [
      "ca.crt"
      "node.crt"
      "node.key"
    ];
    services.flaredb = {
      enable = true;
      openFirewall = true;
      settings = {
        nodeId = id;
        clusterId = "test";
        inherit nodes;
        certsDir = "/etc/flaredb/certs";
      };
    };
  };
in
pkgs.testers.runNixOSTest {
  name = "flaredb-cluster";

  nodes = {
    node1 = node 1;
    node2 = node 2;
    node3 = node 3;
    operator = {
      imports = [ module ];
      environment.etc = certificateFiles "client-admin" [
        "ca.crt"
        "client.crt"
        "client.key"
      ];
      environment.variables = {
        FLAREDB_ENDPOINTS = endpoints;
        FLAREDB_CERTS_DIR = "/etc/flaredb/certs";
      };
      services.flaredb.backup = {
        enable = true;
        inherit endpoints;
        certsDir = "/etc/flaredb/certs";
        keepDaily = 2;
      };
    };
  };

  testScript = ''
    members = [node1, node2, node3]
    start_all()

    with subtest("three machines make a cluster with TLS"):
        for member in members:
            member.wait_for_unit("flaredb.service")
        operator.wait_until_succeeds("flaredb status")
        operator.succeed("flaredb put greeting 'hello, world'")
        operator.fail("FLAREDB_CERTS_DIR= flaredb get greeting")

    with subtest("two of three go on"):
        node3.crash()
        operator.wait_until_succeeds("flaredb put greeting 'two of three'")
        node3.start()
        node3.wait_for_unit("flaredb.service")
        operator.wait_until_succeeds("flaredb verify")
        assert "two of three" in operator.succeed("flaredb get greeting")

    with subtest("a process that is killed comes back"):
        node1.succeed("systemctl kill --signal=KILL flaredb.service")
        node1.wait_for_unit("flaredb.service")
        operator.wait_until_succeeds("flaredb verify")

    with subtest("a backup is made and checked"):
        operator.succeed("systemctl restart flaredb-backups.service")
        operator.wait_until_succeeds("ls /var/lib/flaredb-backups/*.flaredb")
        operator.succeed("flaredb restore /var/lib/flaredb-backups/*.flaredb --dry-run")
        operator.succeed("grep flaredb_backup_newest_timestamp_seconds /run/flaredb-backups/flaredb.prom")

    with subtest("a node may do little"):
        print(node1.succeed("systemd-analyze security --threshold=20 flaredb.service"))
  '';
}
