// etcd-load drives an etcd cluster with closed-loop clients and prints one JSON line per run.
// Built by peers.ts against the packages of Debian, which hold etcd's own client.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type result struct {
	System    string  `json:"system"`
	Op        string  `json:"op"`
	Clients   int     `json:"clients"`
	Conns     int     `json:"conns"`
	ValueSize int     `json:"valueSize"`
	Seconds   float64 `json:"seconds"`
	Ops       int     `json:"ops"`
	Errors    int     `json:"errors"`
	OpsPerSec float64 `json:"opsPerSec"`
	P50       float64 `json:"p50ms"`
	P95       float64 `json:"p95ms"`
	P99       float64 `json:"p99ms"`
	Max       float64 `json:"maxms"`
}

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2371", "comma separated; put the leader first")
	conns := flag.Int("conns", 1, "TCP connections")
	clients := flag.Int("clients", 64, "closed-loop clients, spread over the connections")
	duration := flag.Duration("d", 5*time.Second, "measured time")
	warmup := flag.Duration("warmup", time.Second, "unmeasured time first")
	op := flag.String("op", "put", "put | get (linearizable) | sget (serializable)")
	size := flag.Int("size", 128, "value bytes")
	keys := flag.Int("keys", 10000, "key space")
	flag.Parse()

	var cs []*clientv3.Client
	for i := 0; i < *conns; i++ {
		c, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		cs = append(cs, c)
	}
	value := strings.Repeat("v", *size)
	if *op != "put" { // the keys must exist
		var wg sync.WaitGroup
		for w := 0; w < 64; w++ {
			wg.Add(1)
			go func(w int) {
				defer wg.Done()
				for k := w; k < *keys; k += 64 {
					_, _ = cs[w%len(cs)].Put(context.Background(), fmt.Sprintf("key-%08d", k), value)
				}
			}(w)
		}
		wg.Wait()
	}

	begin := time.Now()
	measureFrom := begin.Add(*warmup)
	end := measureFrom.Add(*duration)
	var mu sync.Mutex
	var latencies []float64
	failures := 0
	var wg sync.WaitGroup
	for i := 0; i < *clients; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c := cs[i%len(cs)]
			var mine []float64
			failed := 0
			for n := i; time.Now().Before(end); n += *clients {
				key := fmt.Sprintf("key-%08d", (n*7919)%*keys)
				t := time.Now()
				var err error
				switch *op {
				case "put":
					_, err = c.Put(context.Background(), key, value)
				case "get":
					_, err = c.Get(context.Background(), key)
				default:
					_, err = c.Get(context.Background(), key, clientv3.WithSerializable())
				}
				if t.Before(measureFrom) {
					continue
				}
				if err != nil {
					failed++
				} else {
					mine = append(mine, float64(time.Since(t).Microseconds())/1000)
				}
			}
			mu.Lock()
			latencies = append(latencies, mine...)
			failures += failed
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	seconds := time.Since(measureFrom).Seconds()
	sort.Float64s(latencies)
	at := func(q float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return latencies[int(q*float64(len(latencies)-1))]
	}
	_ = json.NewEncoder(os.Stdout).Encode(result{"etcd", *op, *clients, *conns, *size, seconds, len(latencies), failures,
		float64(len(latencies)) / seconds, at(0.5), at(0.95), at(0.99), at(1)})
}
