# frozen_string_literal: true

# ruby-pg: simple, unnamed and named statements, pipelines, single rows, COPY, reset by reconnecting.

require 'pg'
require_relative 'shared/steps'
include Steps # rubocop:disable Style/MixinUsage

INSERT = 'INSERT INTO note (tenant, run, amount, body) VALUES ($1, $2, $3, $4)'
FIND = 'SELECT tenant, id FROM item WHERE id = $1'

def connect(tenant = OWN, **more)
  more = { host: HOST, port: PORT, dbname: DATABASE, user: tenant.user, password: PASSWORD, **more }
  connection = PG.connect(**more)
  connection.type_map_for_results = PG::BasicTypeMapForResults.new(connection)
  return connection unless block_given?

  begin
    yield connection
  ensure
    connection.close unless connection.finished?
  end
end

def with_four
  connections = FOUR.map { |tenant| connect(tenant) }
  yield connections
ensure
  connections&.each(&:close)
end

def value(connection, text, *values)
  connection.exec_params(text, values).getvalue(0, 0)
end

def add(connection, amount, body)
  connection.exec_params(INSERT, [OWN.name, RUN, amount, body])
end

def notes(connection, body)
  own(connection.exec_params('SELECT tenant, amount FROM note WHERE run = $1 AND body = $2 ORDER BY amount',
                             [RUN, body]).values)
end

def three(connection, tenant = OWN)
  same(own(connection.exec('SELECT tenant, id FROM item WHERE id < 4 ORDER BY id').values, tenant), [1, 2, 3])
end

step 'connect/login' do
  connect(application_name: 'ruby script') do |connection|
    same(own(connection.exec('SELECT tenant, id FROM item').values).size, ITEMS)
    same(value(connection, 'SHOW application_name'), 'ruby script')
    same(connection.parameter_status('application_name'), 'ruby script')
  end
end

step 'connect/wrong-password' do
  raises(PG::ConnectionBad, 'password authentication failed') { connect(password: 'wrong') }
end

step 'connect/startup-settings' do
  connect(options: '-c statement_timeout=12345 -c TimeZone=Asia/Tokyo') do |connection|
    3.times do
      same(value(connection, 'SHOW statement_timeout'), '12345ms')
      same(value(connection, 'SHOW TimeZone'), 'Asia/Tokyo')
    end
  end
end

step 'transactions/commit' do
  connect do |connection|
    connection.transaction { add(connection, 1, 'commit') }
    same(connection.transaction_status, PG::PQTRANS_IDLE)
    same(notes(connection, 'commit'), [1])
  end
end

step 'transactions/error' do
  connect do |connection|
    raises(PG::UniqueViolation) do
      connection.transaction { 2.times { add(connection, 2, 'error') } }
    end
    connection.exec('BEGIN')
    raises(PG::DivisionByZero) { connection.exec('SELECT 1/0') }
    raises(PG::InFailedSqlTransaction) { connection.exec('SELECT 1') }
    same(connection.transaction_status, PG::PQTRANS_INERROR)
    connection.exec('ROLLBACK')
    same(notes(connection, 'error'), [])
  end
end

step 'savepoints/nested' do
  connect do |connection|
    connection.transaction do
      add(connection, 10, 'nested')
      connection.exec('SAVEPOINT a')
      raises(PG::UniqueViolation) { add(connection, 10, 'nested') }
      connection.exec('ROLLBACK TO a')
      add(connection, 11, 'nested')
      connection.exec('RELEASE a')
    end
    same(notes(connection, 'nested'), [10, 11])
  end
end

step 'prepared/types' do
  connect do |connection|
    connection.prepare('types', 'SELECT tenant, price, made, tags FROM item WHERE id = $1')
    same(connection.describe_prepared('types').nfields, 4)
    [0, 1].each do |format|
      row = connection.exec_prepared('types', [7], format).first
      same(row['tenant'], OWN.name)
      same(row['tags'], [OWN.name, 'tag 0']) if format.zero?
    end
  end
end

step 'prepared/kept-while-idle' do
  with_four do |connections|
    connections.each_with_index do |connection, n|
      connection.prepare('same name', "SELECT tenant, id + #{n} FROM item WHERE id = $1")
    end
    (1..5).each do |turn|
      connections.each_with_index do |connection, n|
        same(own(connection.exec_prepared('same name', [turn]).values, FOUR[n]), [turn + n])
        connection.transaction do
          same(own(connection.exec_prepared('same name', [turn]).values, FOUR[n]), [turn + n])
          three(connection, FOUR[n])
        end
      end
    end
  end
end

step 'prepared/names' do
  connect do |connection|
    connection.prepare('mine', FIND)
    raises(PG::DuplicatePstatement) { connection.prepare('mine', FIND) }
    raises(PG::InvalidSqlStatementName) { connection.exec_prepared('nobody', [1]) }
    connection.exec('DEALLOCATE mine')
    connection.prepare('mine', 'SELECT tenant, 5 FROM item WHERE id = $1')
    same(own(connection.exec_prepared('mine', [1]).values), [5])
  end
end

step 'prepared/after-error' do
  connect do |connection|
    connection.prepare('divide', 'SELECT 10 / $1::int')
    same(connection.exec_prepared('divide', [5]).getvalue(0, 0), 2)
    raises(PG::DivisionByZero) { connection.exec_prepared('divide', [0]) }
    raises(PG::SyntaxError) { connection.prepare('wrong', 'SELECT FROM WHERE $1') }
    same(connection.exec_prepared('divide', [2]).getvalue(0, 0), 5)
  end
end

step 'batch/pipeline' do
  connect do |connection|
    connection.enter_pipeline_mode
    (1..50).each { |n| connection.send_query_params(FIND, [n]) }
    connection.pipeline_sync
    (1..50).each do |n|
      result = connection.get_result
      same(own(result.values), [n])
      same(connection.get_result, nil)
    end
    same(connection.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
    connection.exit_pipeline_mode
    three(connection)
  end
end

step 'batch/pipeline-error' do
  connect do |connection|
    connection.enter_pipeline_mode
    connection.send_query_params(INSERT, [OWN.name, RUN, 20, 'pipeline'])
    connection.send_query_params('SELECT 1/0', [])
    connection.send_query_params(FIND, [1])
    connection.pipeline_sync
    connection.send_query_params(FIND, [2])
    connection.pipeline_sync
    kinds = []
    while kinds.count(PG::PGRES_PIPELINE_SYNC) < 2
      result = connection.get_result or next
      kinds << result.result_status
    end
    same(kinds, [PG::PGRES_COMMAND_OK, PG::PGRES_FATAL_ERROR, PG::PGRES_PIPELINE_ABORTED, PG::PGRES_PIPELINE_SYNC,
                 PG::PGRES_TUPLES_OK, PG::PGRES_PIPELINE_SYNC])
    connection.exit_pipeline_mode
    same(notes(connection, 'pipeline'), [])
  end
end

step 'batch/many-statements' do
  connect do |connection|
    connection.send_query("SELECT 1; ; SELECT tenant, id FROM item WHERE id = 2; /* nothing */")
    same(connection.get_result.getvalue(0, 0), 1)
    same(own(connection.get_result.values), [2])
    same(connection.get_result, nil)
    same(connection.exec('-- nothing').result_status, PG::PGRES_EMPTY_QUERY)
  end
end

step 'cursor/declared' do
  connect do |connection|
    connection.transaction do
      connection.exec('DECLARE c CURSOR FOR SELECT tenant, id FROM item ORDER BY id')
      same(connection.describe_portal('c').nfields, 2)
      [1, 101, 201].each { |first| same(own(connection.exec('FETCH 100 FROM c').values), (first..first + 99).to_a) }
    end
  end
end

step 'cursor/single-row' do
  connect do |connection|
    connection.send_query('SELECT tenant, id FROM item ORDER BY id')
    connection.set_single_row_mode
    rows = []
    connection.get_result.stream_each_row { |row| rows << row }
    same(own(rows), (1..ITEMS).to_a)
  end
end

step 'copy/out' do
  connect do |connection|
    rows = []
    connection.copy_data('COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT', PG::TextDecoder::CopyRow.new) do
      while (row = connection.get_copy_data)
        rows << row
      end
    end
    same(own(rows), (1..ITEMS).map(&:to_s))
  end
end

step 'copy/in' do
  connect do |connection|
    connection.exec('BEGIN')
    connection.exec('CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP')
    connection.copy_data('COPY incoming FROM STDIN', PG::TextEncoder::CopyRow.new) do
      (1000..2999).each { |n| connection.put_copy_data([n, 'copy']) }
    end
    connection.exec_params('INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, amount, body FROM incoming',
                           [OWN.name, RUN])
    same(notes(connection, 'copy'), (1000..2999).to_a)
    connection.exec('ROLLBACK')
  end
end

step 'copy/in-error' do
  connect do |connection|
    connection.exec('BEGIN; CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP')
    raises(PG::InvalidTextRepresentation) do
      connection.copy_data('COPY incoming FROM STDIN') { connection.put_copy_data("no number\n") }
    end
    connection.exec('ROLLBACK')
    raises(RuntimeError) do
      connection.transaction do
        connection.exec('CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP')
        connection.copy_data('COPY incoming FROM STDIN') { raise 'changed my mind' }
      end
    end
    three(connection)
  end
end

step 'cancel/thread' do
  connect do |connection|
    2.times do
      canceller = Thread.new do
        sleep 0.4
        connection.cancel
      end
      raises(PG::QueryCanceled) { connection.exec('SELECT pg_sleep(30)') }
      canceller.join
      three(connection)
    end
  end
end

step 'cancel/timeout' do
  connect do |connection|
    raises(PG::QueryCanceled) do
      connection.transaction do
        connection.exec('SET LOCAL statement_timeout = 150')
        connection.exec('SELECT pg_sleep(30)')
      end
    end
    three(connection)
  end
end

step 'settings/kept-while-idle' do
  with_four do |connections|
    connections.each_with_index { |connection, n| connection.exec("SET TIME ZONE '#{ZONES[n]}'") }
    3.times do
      connections.each_with_index do |connection, n|
        same(value(connection, 'SHOW TimeZone'), ZONES[n])
        same(connection.parameter_status('TimeZone'), ZONES[n])
        three(connection, FOUR[n])
      end
    end
  end
end

step 'settings/encoding' do
  connect do |connection|
    connection.internal_encoding = 'ISO-8859-1'
    same(value(connection, 'SHOW client_encoding'), 'LATIN1')
    same(value(connection, 'SELECT chr(233)').bytes, [233])
  end
  connect { |connection| same(value(connection, 'SELECT chr(233)'), "\u00e9") }
end

step 'session/temporary-table' do
  [OWN, OTHER].each do |tenant|
    connect(tenant) do |connection|
      connection.exec('CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6')
      sleep 0.02
      same(own(connection.exec('SELECT * FROM mine ORDER BY id').values, tenant), (1..5).to_a)
      connection.exec('DROP TABLE mine')
    end
  end
end

step 'reset/discard-all' do
  connect do |connection|
    connection.prepare('mine', FIND)
    connection.exec("SET work_mem = '1MB'")
    connection.exec('DISCARD ALL')
    same(value(connection, 'SHOW work_mem'), '4MB')
    raises(PG::InvalidSqlStatementName) { connection.exec_prepared('mine', [1]) }
    connection.exec('RESET ALL')
    three(connection)
  end
end

# ruby-pg's reset is another connection.
step 'reconnect/reset' do
  connect do |connection|
    connection.exec("SET work_mem = '1MB'")
    connection.reset
    same(value(connection, 'SHOW work_mem'), '4MB')
    three(connection)
  end
end

step 'reconnect/ended-by-server' do
  connect do |connection|
    connection.exec('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 100')
    sleep 0.5
    raises(PG::Error, 'idle-in-transaction timeout') { connection.exec('SELECT 1') }
    connection.reset
    three(connection)
  end
end

step 'reconnect/many' do
  12.times { |n| connect(FOUR[n % 4]) { |connection| three(connection, FOUR[n % 4]) } }
end

run(PG::VERSION)
