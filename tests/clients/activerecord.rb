# frozen_string_literal: true

# ActiveRecord over ruby-pg: settings on connect, named statements, nested transactions, batches, its pool's reset.

require 'active_record'
require_relative 'shared/steps'
include Steps # rubocop:disable Style/MixinUsage

def settings(tenant, **more)
  { adapter: 'postgresql', host: HOST, port: PORT, database: DATABASE, username: tenant.user, password: PASSWORD, pool: 4,
    **more }
end

# Models of one tenant's connections; ActiveRecord keeps a pool for each abstract class.
module OwnModels
  class Base < ActiveRecord::Base
    self.abstract_class = true
  end

  class Item < Base
    self.table_name = 'item'
    self.primary_key = 'id'
  end

  class Note < Base
    self.table_name = 'note'
    self.primary_key = 'id'
  end
end

module OtherModels
  class Base < ActiveRecord::Base
    self.abstract_class = true
  end

  class Item < Base
    self.table_name = 'item'
    self.primary_key = 'id'
  end
end

module ShortModels
  class Base < ActiveRecord::Base
    self.abstract_class = true
  end
end

OwnModels::Base.establish_connection(settings(OWN))
OtherModels::Base.establish_connection(settings(OTHER))
Item = OwnModels::Item
Note = OwnModels::Note

def note(amount, body)
  { tenant: OWN.name, run: RUN, amount: amount, body: body }
end

def notes(body)
  own(Note.where(run: RUN, body: body).order(:amount).pluck(:tenant, :amount))
end

def connection
  OwnModels::Base.connection
end

def three(model = Item, tenant = OWN)
  same(own(model.where('id < ?', 4).order(:id).pluck(:tenant, :id), tenant), [1, 2, 3])
end

# A connection of its own, with other settings.
def short(**more)
  ShortModels::Base.establish_connection(settings(OWN, **more))
  yield ShortModels::Base.connection
ensure
  ShortModels::Base.remove_connection
end

step 'connect/login' do
  same(own(Item.pluck(:tenant, :id)).size, ITEMS)
  same(connection.select_value('SHOW intervalstyle'), 'iso_8601')
  same(connection.select_value('SHOW client_min_messages'), 'warning')
  same(connection.active?, true)
end

step 'connect/wrong-password' do
  raises(ActiveRecord::ConnectionNotEstablished, 'password authentication failed') do
    short(password: 'wrong', &:execute)
  end
end

step 'connect/settings' do
  short(schema_search_path: 'public,pg_catalog', variables: { statement_timeout: 12_345 }) do |other|
    3.times do
      same(other.schema_search_path, 'public,pg_catalog')
      same(other.select_value('SHOW search_path'), 'public, pg_catalog')
      same(other.select_value('SHOW statement_timeout'), '12345ms')
    end
  end
end

step 'connect/schema' do
  same(Note.columns.map(&:name), %w[tenant_id id tenant run amount body])
  same(connection.primary_keys('note'), %w[tenant_id id])
  same(connection.tables.include?('item'), true)
  same(connection.indexes('note').size, 1)
end

step 'transactions/commit' do
  Note.transaction(isolation: :repeatable_read) do
    Note.create!(note(1, 'commit'))
    same(connection.select_value('SHOW transaction_isolation'), 'repeatable read')
  end
  same(notes('commit'), [1])
end

step 'transactions/rollback' do
  raises(ActiveRecord::RecordNotUnique) do
    Note.transaction { 2.times { Note.create!(note(2, 'rollback')) } }
  end
  Note.transaction do
    Note.create!(note(3, 'rollback'))
    raise ActiveRecord::Rollback
  end
  same(notes('rollback'), [])
end

step 'transactions/lock' do
  Note.create!(note(4, 'lock')).with_lock { same(notes('lock'), [4]) }
end

step 'savepoints/nested' do
  Note.transaction do
    Note.create!(note(10, 'nested'))
    raises(ActiveRecord::RecordNotUnique) do
      Note.transaction(requires_new: true) { Note.create!(note(10, 'nested')) }
    end
    Note.transaction(requires_new: true) { Note.create!(note(11, 'nested')) }
  end
  same(notes('nested'), [10, 11])
end

step 'prepared/kept-while-idle' do
  (1..30).each do |n|
    same(own([[Item.find(n).tenant, n]]), [n])
    same(own([[OtherModels::Item.find(n).tenant, n]], OTHER), [n])
    same(own(Item.where(id: n, name: "#{OWN.name} #{n}").pluck(:tenant, :id)), [n])
  end
end

step 'prepared/off' do
  short(prepared_statements: false) do |other|
    5.times { |n| same(own(other.select_rows("SELECT tenant, id FROM item WHERE id = #{n + 1}")), [n + 1]) }
  end
end

step 'prepared/many' do
  short(statement_limit: 5) do |other|
    2.times do
      (1..20).each do |n|
        rows = other.exec_query("SELECT tenant, #{n} FROM item WHERE id = $1", 'many', [n], prepare: true).rows
        same(own(rows), [n])
      end
    end
  end
end

step 'prepared/after-error' do
  divide = ->(n) { connection.exec_query('SELECT 10 / $1::int', 'divide', [n], prepare: true).rows }
  same(divide.call(5), [[2]])
  raises(ActiveRecord::StatementInvalid, 'division by zero') { divide.call(0) }
  same(divide.call(2), [[5]])
end

step 'batch/insert-all' do
  added = Note.insert_all((100..399).map { |n| note(n, 'batch') }, returning: %w[tenant amount],
                                                                   unique_by: %i[tenant_id run amount])
  same(own(added.rows), (100..399).to_a)
  same(notes('batch'), (100..399).to_a)
  same(Note.where(run: RUN, body: 'batch').update_all(body: 'changed'), 300)
  same(Note.where(run: RUN, body: 'changed').delete_all, 300)
end

step 'cursor/find-each' do
  found = []
  Item.find_each(batch_size: 90) { |item| found << [item.tenant, item.id] }
  same(own(found), (1..ITEMS).to_a)
end

step 'cancel/timeout' do
  raises(ActiveRecord::QueryCanceled) do
    Note.transaction do
      connection.execute('SET LOCAL statement_timeout = 150')
      connection.execute('SELECT pg_sleep(30)')
    end
  end
  three
end

step 'settings/kept-while-idle' do
  connection.execute("SET TIME ZONE 'Asia/Tokyo'")
  3.times do
    same(connection.select_value('SHOW TimeZone'), 'Asia/Tokyo')
    same(OtherModels::Base.connection.select_value('SHOW TimeZone'), 'UTC')
    three
    three(OtherModels::Item, OTHER)
  end
  connection.execute("SET TIME ZONE 'UTC'")
end

step 'session/advisory-lock' do
  key = RUN.hash.abs % 1_000_000
  same(connection.get_advisory_lock(key), true)
  three
  same(connection.release_advisory_lock(key), true)
end

step 'reset/reset' do
  connection.execute("SET work_mem = '1MB'")
  Item.find(1)
  connection.reset!
  same(connection.select_value('SHOW work_mem'), '4MB')
  same(connection.select_value('SHOW intervalstyle'), 'iso_8601')
  same(Item.find(2).tenant, OWN.name)
end

step 'reset/clear-cache' do
  Item.find(1)
  connection.clear_cache!
  same(Item.find(2).tenant, OWN.name)
end

step 'reconnect/pool' do
  threads = (1..8).map do |n|
    Thread.new do
      model, tenant = n.even? ? [Item, OWN] : [OtherModels::Item, OTHER]
      model.connection_pool.with_connection { 5.times { three(model, tenant) } }
    end
  end
  threads.each(&:join)
end

step 'reconnect/reconnect' do
  connection.reconnect!
  three
  connection.disconnect!
  connection.verify!
  three
end

step 'reconnect/ended-by-server' do
  raises(ActiveRecord::StatementInvalid) do
    Note.transaction do
      connection.execute('SET LOCAL idle_in_transaction_session_timeout = 100')
      sleep 0.5
      connection.execute('SELECT 1')
    end
  end
  connection.verify!
  three
end

run(ActiveRecord::VERSION::STRING)
