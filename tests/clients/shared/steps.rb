# frozen_string_literal: true

# What the scripts in Ruby share: whom to connect as, and one line printed for each step (see steps.py).
module Steps
  Tenant = Struct.new(:name, :user)

  HOST, PORT, DATABASE, PASSWORD, RUN = %w[HOST PORT DATABASE PASSWORD RUN].map { |name| ENV.fetch("CLIENT_#{name}") }
  OWN = Tenant.new(ENV.fetch('CLIENT_TENANT'), ENV.fetch('CLIENT_USER'))
  OTHER = Tenant.new(ENV.fetch('CLIENT_OTHER_TENANT'), ENV.fetch('CLIENT_OTHER_USER'))
  FOUR = [OWN, OTHER, OWN, OTHER].freeze
  ZONES = %w[Asia/Tokyo Europe/Paris America/Lima Africa/Cairo].freeze
  ITEMS = 1000
  LIST = [] # rubocop:disable Style/MutableConstant

  def step(name, &action)
    LIST << [name, action]
  end

  def same(found, expected)
    raise "found #{found.inspect}, not #{expected.inspect}" unless found == expected
  end

  # The rows' second column, when the first names the tenant.
  def own(rows, tenant = OWN)
    rows.each { |row| raise "a row of #{row[0]} seen as #{tenant.name}" unless row[0] == tenant.name }
    rows.map { |row| row[1] }
  end

  def raises(kind, text = '')
    begin
      yield
    rescue kind => e
      raise "#{e.message} in place of #{text}" unless e.message.include?(text)

      return e
    end
    raise "no error #{kind}"
  end

  def run(version)
    $stdout.sync = true
    puts "version #{version}"
    failed = false
    LIST.each do |name, action|
      next unless ARGV.empty? || ARGV.any? { |start| name.start_with?(start) }

      begin
        action.call
        puts "ok #{name}"
      rescue StandardError => e
        failed = true
        puts "FAIL #{name}: #{"#{e.class}: #{e.message}".split.join(' ')}"
      end
    end
    exit !failed
  end
end
