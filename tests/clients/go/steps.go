// What the scripts in Go share: whom to connect as, and one line printed for each step (see shared/steps.py).

package main

import (
	"fmt"
	"os"
	program "os/exec"
	"reflect"
	"runtime/debug"
	"strings"
)

type tenant struct{ name, user string }

var (
	run      = os.Getenv("CLIENT_RUN")
	password = os.Getenv("CLIENT_PASSWORD")
	ownOne   = tenant{os.Getenv("CLIENT_TENANT"), os.Getenv("CLIENT_USER")}
	other    = tenant{os.Getenv("CLIENT_OTHER_TENANT"), os.Getenv("CLIENT_OTHER_USER")}
	four     = []tenant{ownOne, other, ownOne, other}
	zones    = []string{"Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo"}
)

const items = 1000

type namedStep struct {
	name   string
	action func()
}

var steps []namedStep

func step(name string, action func()) { steps = append(steps, namedStep{name, action}) }

// A failed check ends its step by a panic.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

func same(found, expected interface{}) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("found %v, not %v", found, expected))
	}
}

func mine(name string, who tenant) {
	if name != who.name {
		panic(fmt.Sprintf("a row of %s seen as %s", name, who.name))
	}
}

// What both drivers' rows can do.
type rowSet interface {
	Next() bool
	Scan(...interface{}) error
	Err() error
}

// The numbers of all rows, whose first column must name the tenant.
func pairs(rows rowSet, who tenant) []int {
	found := []int{}
	for rows.Next() {
		var name string
		var n int
		check(rows.Scan(&name, &n))
		mine(name, who)
		found = append(found, n)
	}
	check(rows.Err())
	return found
}

func firstText(rows rowSet) (found string) {
	same(rows.Next(), true)
	check(rows.Scan(&found))
	return found
}

// Does something so many times at once; the first failure is the step's.
func atOnce(count int, action func(n int)) {
	failures := make(chan string, count)
	for n := 1; n <= count; n++ {
		go func(n int) { failures <- attempt(namedStep{"", func() { action(n) }}) }(n)
	}
	why := ""
	for n := 1; n <= count; n++ {
		if failure := <-failures; why == "" {
			why = failure
		}
	}
	if why != "" {
		panic(why)
	}
}

func numbers(first, last int) []int {
	list := []int{}
	for n := first; n <= last; n++ {
		list = append(list, n)
	}
	return list
}

func attempt(one namedStep) (why string) {
	defer func() {
		if trouble := recover(); trouble != nil {
			why = strings.Join(strings.Fields(fmt.Sprint(trouble)), " ")
			if os.Getenv("CLIENT_DEBUG") != "" {
				debug.PrintStack()
			}
		}
	}()
	one.action()
	return ""
}

// The version of a driver that comes as a Debian package.
func packageVersion(name string) string {
	text, err := program.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	check(err)
	return strings.Split(string(text), "-")[0]
}

func runSteps(version string) {
	fmt.Println("version", version)
	failed := 0
	for _, one := range steps {
		wanted := len(os.Args) == 1
		for _, start := range os.Args[1:] {
			wanted = wanted || strings.HasPrefix(one.name, start)
		}
		if !wanted {
			continue
		}
		if why := attempt(one); why != "" {
			failed = 1
			fmt.Printf("FAIL %s: %s\n", one.name, why)
		} else {
			fmt.Println("ok", one.name)
		}
	}
	os.Exit(failed)
}
