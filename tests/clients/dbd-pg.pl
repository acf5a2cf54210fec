#!/usr/bin/perl
# DBD::Pg: the first statement unnamed, then named ones, a ping that is a comment, COPY by lines, asynchronous queries.

use strict;
use warnings;
use DBI;
use DBD::Pg qw(:async);
use Time::HiRes qw(sleep);

my ($OWN, $OTHER, $RUN) = @ENV{qw(CLIENT_TENANT CLIENT_OTHER_TENANT CLIENT_RUN)};
my @FOUR = ($OWN, $OTHER, $OWN, $OTHER);
my @ZONES = qw(Asia/Tokyo Europe/Paris America/Lima Africa/Cairo);
my $ITEMS = 1000;
my $INSERT = 'INSERT INTO note (tenant, run, amount, body) VALUES (?, ?, ?, ?)';
my $FIND = 'SELECT tenant, id FROM item WHERE id = ?';
my @steps;

sub step { push @steps, [@_] }

sub same {
	my ($found, $expected) = map { ref $_ ? '[' . join(', ', @$_) . ']' : $_ // 'undef' } @_;
	die "found $found, not $expected\n" if $found ne $expected;
}

sub raises {
	my ($state, $action) = @_;
	die "no error $state\n" if eval { $action->(); 1 };
	die(($DBI::state // '') . " $@ in place of $state\n") if ($DBI::state // '') ne $state && $@ !~ /\Q$state/;
}

sub open_database {
	my ($tenant, %more) = @_;
	$tenant //= $OWN;
	my $password = delete $more{password} // $ENV{CLIENT_PASSWORD};
	my $dsn = "dbi:Pg:host=$ENV{CLIENT_HOST};port=$ENV{CLIENT_PORT};dbname=$ENV{CLIENT_DATABASE};" . (delete $more{dsn} // '');
	my $user = $ENV{$tenant eq $OWN ? 'CLIENT_USER' : 'CLIENT_OTHER_USER'};
	return DBI->connect($dsn, $user, $password, { RaiseError => 1, PrintError => 0, AutoCommit => 1, %more });
}

# The second column of all rows, whose first must name the tenant.
sub own {
	my ($rows, $tenant) = @_;
	$tenant //= $OWN;
	for my $row (@$rows) {
		die "a row of $row->[0] seen as $tenant\n" if $row->[0] ne $tenant;
	}
	return [map { $_->[1] } @$rows];
}

sub value { $_[0]->selectrow_arrayref($_[1], undef, @_[2 .. $#_])->[0] }

sub add { $_[0]->do($INSERT, undef, $OWN, $RUN, $_[1], $_[2]) }

sub notes {
	my ($dbh, $body) = @_;
	my $text = 'SELECT tenant, amount FROM note WHERE run = ? AND body = ? ORDER BY amount';
	return own($dbh->selectall_arrayref($text, undef, $RUN, $body));
}

sub three {
	my ($dbh, $tenant) = @_;
	same(own($dbh->selectall_arrayref('SELECT tenant, id FROM item WHERE id < 4 ORDER BY id'), $tenant), [1, 2, 3]);
}

step 'connect/login' => sub {
	my $dbh = open_database($OWN, dsn => "application_name='perl script'");
	same(scalar @{own($dbh->selectall_arrayref('SELECT tenant, id FROM item'))}, $ITEMS);
	same(value($dbh, 'SHOW application_name'), 'perl script');
};

step 'connect/wrong-password' => sub {
	raises('password authentication failed', sub { open_database($OWN, password => 'wrong') });
};

step 'connect/startup-settings' => sub {
	my $dbh = open_database($OWN, dsn => "options='-c statement_timeout=12345 -c TimeZone=Asia/Tokyo'");
	for (1 .. 3) {
		same(value($dbh, 'SHOW statement_timeout'), '12345ms');
		same(value($dbh, 'SHOW TimeZone'), 'Asia/Tokyo');
	}
};

# The ping is a query of nothing but a comment.
step 'connect/ping' => sub {
	my $dbh = open_database();
	for (1 .. 3) {
		same($dbh->ping, 1);
		three($dbh);
	}
	$dbh->begin_work;
	three($dbh);
	same($dbh->ping, 3);
	$dbh->rollback;
};

step 'transactions/commit' => sub {
	my $dbh = open_database($OWN, AutoCommit => 0);
	add($dbh, 1, 'commit');
	$dbh->commit;
	same(notes($dbh, 'commit'), [1]);
	$dbh->rollback;
};

step 'transactions/error' => sub {
	my $dbh = open_database($OWN, AutoCommit => 0);
	add($dbh, 2, 'error');
	raises('23505', sub { add($dbh, 2, 'error') });
	raises('25P02', sub { add($dbh, 3, 'error') });
	$dbh->rollback;
	same(notes($dbh, 'error'), []);
	$dbh->rollback;
};

step 'savepoints/nested' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	add($dbh, 10, 'nested');
	$dbh->pg_savepoint('a');
	add($dbh, 11, 'nested');
	$dbh->pg_savepoint('b');
	raises('22012', sub { value($dbh, 'SELECT 1/0') });
	$dbh->pg_rollback_to('b');
	$dbh->pg_release('b');
	$dbh->pg_rollback_to('a');
	add($dbh, 12, 'nested');
	$dbh->commit;
	same(notes($dbh, 'nested'), [10, 12]);
};

step 'prepared/types' => sub {
	my $dbh = open_database();
	my $sth = $dbh->prepare('SELECT tenant, price, tags FROM item WHERE id = ANY (?::int[]) AND price > ?');
	for (1 .. 3) {
		$sth->execute([7], '1.5');
		my $row = $sth->fetchrow_hashref;
		same([$row->{tenant}, $row->{price}, $row->{tags}[0]], [$OWN, '7.25', $OWN]);
		$sth->finish;
	}
};

step 'prepared/kept-while-idle' => sub {
	my @all = map { open_database($_) } @FOUR;
	my @statements = map { $all[$_]->prepare("SELECT tenant, id + $_ FROM item WHERE id = ?", { pg_prepare_now => 1 }) } 0 .. 3;
	for my $turn (1 .. 5) {
		for my $n (0 .. 3) {
			$statements[$n]->execute($turn);
			same(own($statements[$n]->fetchall_arrayref, $FOUR[$n]), [$turn + $n]);
			three($all[$n], $FOUR[$n]);
		}
	}
};

step 'prepared/many' => sub {
	my $dbh = open_database();
	for my $turn (1 .. 2) {
		for my $n (1 .. 40) {
			my $sth = $dbh->prepare_cached("SELECT tenant, $n FROM item WHERE id = ?");
			$sth->execute($n);
			same(own($sth->fetchall_arrayref), [$n]);
		}
	}
};

step 'prepared/after-error' => sub {
	my $dbh = open_database();
	my $divide = $dbh->prepare('SELECT tenant, 10 / ?::int FROM item WHERE id = 1');
	for my $n (5, 0, 2, 5) {
		if ($n) {
			$divide->execute($n);
			same(own($divide->fetchall_arrayref), [int(10 / $n)]);
		} else {
			raises('22012', sub { $divide->execute($n) });
		}
	}
	raises('42601', sub { $dbh->prepare('SELECT FROM WHERE ?')->execute(1) });
	three($dbh);
};

step 'prepared/server-side-off' => sub {
	my $dbh = open_database($OWN, pg_server_prepare => 0);
	same(own($dbh->selectall_arrayref($FIND, undef, $_)), [$_]) for 1 .. 5;
};

# Bulkhead refuses the first currval() of a tenant where others have used the backend since (docs/clients.md), and keeps
# backends from then on.
step 'session/last-insert-id' => sub {
	my $dbh = open_database();
	add($dbh, 20, 'first last id');
	eval { $dbh->last_insert_id(undef, 'public', 'note', undef, { sequence => 'note_id_seq' }) };
	die $@ if $@ && $dbh->state ne '55000';
	for my $amount (21 .. 25) {
		add($dbh, $amount, 'last id');
		sleep 0.005;
		my $id = $dbh->last_insert_id(undef, 'public', 'note', undef, { sequence => 'note_id_seq' });
		same(own($dbh->selectall_arrayref('SELECT tenant, amount FROM note WHERE id = ?', undef, $id)), [$amount]);
	}
};

step 'batch/execute-array' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	my $sth = $dbh->prepare($INSERT);
	same($sth->execute_array({}, $OWN, $RUN, [100 .. 399], 'batch'), 300);
	$dbh->commit;
	same(notes($dbh, 'batch'), [100 .. 399]);
};

step 'batch/many-statements' => sub {
	my $dbh = open_database();
	$dbh->do("INSERT INTO note (tenant, run, amount, body) VALUES ('$OWN', '$RUN', 400, 'many'); SELECT 1; /* nothing */ ;");
	raises('22012', sub { $dbh->do("DELETE FROM note WHERE run = '$RUN' AND body = 'many'; SELECT 1/0") });
	same(notes($dbh, 'many'), [400]);
};

step 'cursor/declared' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	$dbh->do('DECLARE c SCROLL CURSOR FOR SELECT tenant, id FROM item ORDER BY id');
	for my $first (map { 1 + 100 * $_ } 0 .. 4) {
		same(own($dbh->selectall_arrayref('FETCH 100 FROM c')), [$first .. $first + 99]);
	}
	$dbh->do('CLOSE c');
	$dbh->commit;
};

step 'copy/out' => sub {
	my $dbh = open_database();
	$dbh->do('COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT');
	my ($line, @rows);
	while ($dbh->pg_getcopydata($line) >= 0) {
		chomp $line;
		push @rows, [split /\t/, $line];
	}
	same(own(\@rows), [1 .. $ITEMS]);
	three($dbh);
};

step 'copy/in' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	$dbh->do('CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP');
	$dbh->do('COPY incoming FROM STDIN');
	$dbh->pg_putcopydata("$_\tcopy\n") for 1000 .. 2999;
	same($dbh->pg_putcopyend, 1);
	$dbh->do('INSERT INTO note (tenant, run, amount, body) SELECT ?, ?, amount, body FROM incoming', undef, $OWN, $RUN);
	same(notes($dbh, 'copy'), [1000 .. 2999]);
	$dbh->rollback;
	raises('0A000', sub { $dbh->do('COPY note (amount) FROM STDIN') });
	three($dbh);
};

step 'cancel/asynchronous' => sub {
	my $dbh = open_database();
	for (1 .. 2) {
		$dbh->do('SELECT pg_sleep(30)', { pg_async => PG_ASYNC });
		sleep 0.4;
		same($dbh->pg_ready ? 1 : 0, 0);
		same($dbh->pg_cancel ? 1 : 0, 1);
		three($dbh);
	}
};

step 'cancel/timeout' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	$dbh->do('SET LOCAL statement_timeout = 150');
	raises('57014', sub { $dbh->do('SELECT pg_sleep(30)') });
	$dbh->rollback;
	three($dbh);
};

step 'settings/kept-while-idle' => sub {
	my @all = map { open_database($_) } @FOUR;
	$all[$_]->do("SET TIME ZONE '$ZONES[$_]'") for 0 .. 3;
	for my $turn (1 .. 3) {
		for my $n (0 .. 3) {
			same(value($all[$n], 'SHOW TimeZone'), $ZONES[$n]);
			three($all[$n], $FOUR[$n]);
		}
	}
};

step 'settings/transaction' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	value($dbh, q{SELECT set_config('work_mem', ?, true)}, '1MB');
	same(value($dbh, 'SHOW work_mem'), '1MB');
	$dbh->commit;
	same(value($dbh, 'SHOW work_mem'), '4MB');
};

step 'session/temporary-table' => sub {
	for my $tenant ($OWN, $OTHER) {
		my $dbh = open_database($tenant);
		$dbh->do('CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6');
		sleep 0.02;
		same(own($dbh->selectall_arrayref('SELECT * FROM mine ORDER BY id'), $tenant), [1 .. 5]);
		$dbh->do('DROP TABLE mine');
	}
};

step 'session/catalogs' => sub {
	my $dbh = open_database();
	my $columns = $dbh->column_info(undef, 'public', 'note', '%')->fetchall_arrayref({});
	same([map { $_->{COLUMN_NAME} } @$columns], [qw(tenant_id id tenant run amount body)]);
	same([$dbh->primary_key(undef, 'public', 'note')], [qw(tenant_id id)]);
};

step 'reset/discard-all' => sub {
	my $dbh = open_database();
	my $sth = $dbh->prepare($FIND);
	for my $n (1 .. 4) {
		$sth->execute($n);
		same(own($sth->fetchall_arrayref), [$n]);
	}
	$dbh->do("SET work_mem = '1MB'");
	$dbh->do('DISCARD ALL');
	same(value($dbh, 'SHOW work_mem'), '4MB');
	raises('26000', sub { $sth->execute(1) });
	$dbh->do('RESET ALL');
	three($dbh);
};

# connect_cached pings what it has and opens another one when that is gone.
step 'reconnect/cached' => sub {
	my $last;
	for my $turn (0 .. 7) {
		my $dbh = DBI->connect_cached("dbi:Pg:host=$ENV{CLIENT_HOST};port=$ENV{CLIENT_PORT};dbname=$ENV{CLIENT_DATABASE}",
			$ENV{CLIENT_USER}, $ENV{CLIENT_PASSWORD}, { RaiseError => 1, PrintError => 0 });
		same("$last", "$dbh") if $last;
		$last = $dbh;
		three($dbh);
	}
};

step 'reconnect/ended-by-server' => sub {
	my $dbh = open_database();
	$dbh->begin_work;
	$dbh->do('SET LOCAL idle_in_transaction_session_timeout = 100');
	sleep 0.5;
	raises('idle-in-transaction timeout', sub { three($dbh) });
	same($dbh->ping, 0);
	three(open_database());
};

step 'reconnect/many' => sub {
	three(open_database($FOUR[$_ % 4]), $FOUR[$_ % 4]) for 0 .. 11;
};

$| = 1;
print "version $DBD::Pg::VERSION\n";
my $failed = 0;
for my $step (@steps) {
	my ($name, $action) = @$step;
	next if @ARGV && !grep { index($name, $_) == 0 } @ARGV;
	if (eval { $action->(); 1 }) {
		print "ok $name\n";
	} else {
		$failed = 1;
		print "FAIL $name: ", join(' ', split ' ', $@), "\n";
	}
}
exit $failed;
